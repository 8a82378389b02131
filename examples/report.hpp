// What one demo found: rows of "expected" beside "measured", printed as they come.
//
// Thread safety: none; the demo's main thread owns it.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace demos {

class Report {
 public:
  /// Rows are printed to `out` at once; nothing is printed where `out` is null.
  explicit Report(std::FILE* out = stdout) : out_(out) {}

  /// One finding. Where `holds` is false the demo has failed.
  void row(const std::string& what, const std::string& expected, const std::string& measured,
           bool holds);
  /// A measured figure that decides nothing.
  void info(const std::string& what, const std::string& measured);
  /// The demo could not be run to its end. Not printed here.
  void error(const std::string& text);

  bool ok() const { return failures_.empty(); }
  /// One sentence for each finding that does not hold.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  void print(const std::string& what, const std::string& expected, const std::string& measured,
             const char* mark);

  std::FILE* out_;
  std::vector<std::string> failures_;
};

/// "1.02 s"
std::string seconds(double value);
/// "12 ms"
std::string milliseconds(double value);
/// "3 of 20"
std::string of(long long part, long long whole);

}  // namespace demos
