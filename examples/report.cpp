#include "examples/report.hpp"

#include <array>

namespace demos {

namespace {

std::string printed(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

}  // namespace

void Report::row(const std::string& what, const std::string& expected, const std::string& measured,
                 bool holds) {
  print(what, expected, measured, holds ? "ok" : "NO");
  if (!holds) failures_.push_back(what + ": expected " + expected + ", measured " + measured);
}

void Report::info(const std::string& what, const std::string& measured) {
  print(what, "", measured, "");
}

void Report::error(const std::string& text) {
  failures_.push_back(text);
}

void Report::print(const std::string& what, const std::string& expected,
                   const std::string& measured, const char* mark) {
  if (out_ == nullptr) return;
  std::fprintf(out_, "   %-40s %-24s %-30s%s\n", what.c_str(), expected.c_str(), measured.c_str(),
               mark);
  std::fflush(out_);
}

std::string seconds(double value) { return printed("%.2f s", value); }
std::string milliseconds(double value) { return printed("%.0f ms", value); }
std::string of(long long part, long long whole) {
  return std::to_string(part) + " of " + std::to_string(whole);
}

}  // namespace demos
