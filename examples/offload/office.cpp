#include "examples/offload/office.hpp"

#include "examples/nap.hpp"

#include <algorithm>

namespace demos {

using namespace std::chrono_literals;

Ran crunch(int cpu_ms) {
  Inside inside;
  const Ran ran = inside.enter();
  burn(cpu_ms);
  return inside.leave(ran);
}

std::string Office::ask() { return this_process(); }

callboard::Async<std::vector<Ran>> Office::send_out(int pieces, int cpu_ms) {
  callboard::Client& client = callboard::this_call().client();
  std::vector<callboard::Future<Ran>> sent;
  for (int i = 0; i < pieces; ++i) sent.push_back(client.call(crunch_task, cpu_ms));

  std::vector<Ran> done;
  for (auto& piece : sent) done.push_back(co_await piece);
  co_return done;
}

std::vector<Ran> Office::do_here(int pieces, int cpu_ms) {
  std::vector<Ran> done;
  for (int i = 0; i < pieces; ++i) done.push_back(crunch(cpu_ms));
  return done;
}

callboard::Async<double> Office::watch() {
  constexpr auto kLook = 5ms;
  double longest_ms = 0;
  watching_ = true;
  while (watching_) {
    const auto before = steady_us();
    co_await nap(kLook);
    const double late_ms = static_cast<double>(steady_us() - before) / 1000 - kLook.count();
    longest_ms = std::max(longest_ms, late_ms);
  }
  co_return longest_ms;
}

void Office::stop_watch() { watching_ = false; }

}  // namespace demos
