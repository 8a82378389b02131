// What the tests of the command line call: a class that naps, fails and counts, and a task.
#include <callboard/registry.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace cli_app {

class Napper {
 public:
  explicit Napper(int start) : count_(start) {
    if (start < 0) throw std::invalid_argument("a count begins at 0 or above");
  }
  int count() { return ++count_; }
  int nap(int ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    return ms;
  }
  void fail(std::string why) { throw std::logic_error(why); }

  friend consteval auto describe(callboard::Class<Napper> c) {
    return c.name("Napper")
        .constructor<int>()
        .method<&Napper::count>("count")
        .method<&Napper::nap>("nap")
        .method<&Napper::fail>("fail");
  }

 private:
  int count_;
};

int twice(int number) { return 2 * number; }
inline constexpr callboard::Task<&twice> twice_task{"twice"};

}  // namespace cli_app

CALLBOARD_LIBRARY(registry) { registry.add<cli_app::Napper>().add<cli_app::twice_task>(); }
