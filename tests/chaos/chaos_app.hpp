// What runs while things break: every execution is written to a file that no part of the system
// touches, so that an independent checker can tell what really happened.
#pragma once

#include <callboard/description.hpp>

#include <string>
#include <utility>

namespace chaos {

/// A serial actor that notes what it runs.
class Ledger {
 public:
  explicit Ledger(std::string file) : file_(std::move(file)) {}
  /// Notes the word, works for `ms`, notes that it ended, and gives the word back.
  std::string note(std::string word, int ms);
  /// The same, but fails in its first attempts, of which it notes the failure.
  std::string stumble(std::string word, int ms, int failures);

  friend consteval auto describe(callboard::Class<Ledger> c) {
    return c.name("chaos.Ledger")
        .constructor<std::string>()
        .method<&Ledger::note>("note")
        .method<&Ledger::stumble>("stumble");
  }

 private:
  std::string file_;
};

std::string note_in(std::string file, std::string word, int ms);
inline constexpr callboard::Task<&note_in> note_task{"chaos.note"};

/// Notes the word and fails, each time.
std::string fail_in(std::string file, std::string word);
inline constexpr callboard::Task<&fail_in> fail_task{"chaos.fail"};

}  // namespace chaos
