// Classes and tasks for the protocol tests, as a library that a worker loads.

#include <callboard/context.hpp>
#include <callboard/description.hpp>
#include <callboard/registry.hpp>
#include <callboard/value.hpp>

#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace protocol_app {

/// Remembers what it was told, in order.
class Notes {
 public:
  explicit Notes(std::string title) : title_(std::move(title)) {}

  int append(std::string line) {
    lines_.push_back(std::move(line));
    return static_cast<int>(lines_.size());
  }
  std::vector<std::string> all() { return lines_; }
  std::string title() { return title_; }
  /// Sleeps, then remembers that.
  int append_after(int ms, std::string line) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    return append(std::move(line));
  }

  friend consteval auto describe(callboard::Class<Notes> c) {
    return c.name("Notes").constructor<std::string>().method<&Notes::append>("append")
        .method<&Notes::all>("all").method<&Notes::title>("title")
        .method<&Notes::append_after>("append_after");
  }

 private:
  std::string title_;
  std::vector<std::string> lines_;
};

/// One method for each thing that a test looks at.
class Toolbox {
 public:
  int add(int a, int b) { return a + b; }
  std::string echo(std::string text) { return text; }
  callboard::Bytes repeat(int n) { return {std::string(static_cast<std::size_t>(n), 'r')}; }
  std::size_t length(callboard::Bytes bytes) { return bytes.data.size(); }
  std::map<std::string, std::string> headers() { return callboard::this_call().headers(); }
  void nap(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }
  int fail(std::string text) { throw std::out_of_range(text); }

  friend consteval auto describe(callboard::Class<Toolbox> c) {
    return c.name("Toolbox").constructor<>().method<&Toolbox::add>("add")
        .method<&Toolbox::echo>("echo").method<&Toolbox::repeat>("repeat")
        .method<&Toolbox::length>("length").method<&Toolbox::headers>("headers")
        .method<&Toolbox::nap>("nap").method<&Toolbox::fail>("fail");
  }
};

/// Cannot be made.
class Broken {
 public:
  Broken() { throw std::runtime_error("no such luck"); }
  int answer() { return 42; }

  friend consteval auto describe(callboard::Class<Broken> c) {
    return c.name("Broken").constructor<>().method<&Broken::answer>("answer");
  }
};

std::string join(std::string a, std::string b) { return a + b; }
inline constexpr callboard::Task<&join> join_task{"join"};

}  // namespace protocol_app

CALLBOARD_LIBRARY(registry) {
  using namespace protocol_app;
  registry.add<Notes>().add<Toolbox>().add<Broken>().add<join_task>();
}
