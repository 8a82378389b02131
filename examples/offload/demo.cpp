#include "examples/offload/demo.hpp"

#include "examples/offload/office.hpp"
#include "examples/ran.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace demos {

using namespace std::chrono_literals;

namespace {

constexpr int kPieces = 6;
constexpr int kCpuMs = 250;            ///< of each piece
constexpr double kStallLimitMs = 500;  ///< a third of the whole, however busy the machine is

struct Day {
  double stall_ms = 0;       ///< the longest, as the actor measured it
  double slowest_ms = 0;     ///< to answer a visitor
  int visitors = 0;
  std::string office;  ///< the process that it is in
  std::vector<Ran> work;
};

/// Asks the office again and again while it has `work` to do.
Day spend(const callboard::Actor<Office>& office, bool send_out) {
  Day day;
  auto stall = office.call<&Office::watch>();
  day.office = office.call<&Office::ask>().get();
  auto work = send_out ? office.call<&Office::send_out>(kPieces, kCpuMs)
                       : office.call<&Office::do_here>(kPieces, kCpuMs);
  while (!work.wait(10ms)) {
    const auto asked = steady_us();
    office.call<&Office::ask>().get();
    const double took_ms = static_cast<double>(steady_us() - asked) / 1e3;
    day.slowest_ms = std::max(day.slowest_ms, took_ms);
    ++day.visitors;
  }
  day.work = work.get();
  office.call<&Office::stop_watch>().get();
  day.stall_ms = stall.get();
  return day;
}

}  // namespace

void show_offload(const Stage& stage, Report& report, const OffloadPlan& plan) {
  const auto office = stage.client.actor<Office>();
  const Day day = spend(office, plan.send_out);
  auto elsewhere = processes_of(day.work);
  elsewhere.erase(day.office);

  report.row("pieces of work done", of(kPieces, kPieces),
             of(static_cast<long long>(day.work.size()), kPieces), day.work.size() == kPieces);
  report.row("in other processes than the actor's", "at least one",
             std::to_string(elsewhere.size()), !elsewhere.empty());
  report.row("longest stall of the actor's loop", "under " + milliseconds(kStallLimitMs),
             milliseconds(day.stall_ms), day.stall_ms < kStallLimitMs);
  report.info("  visitors answered meanwhile",
              std::to_string(day.visitors) + ", slowest " + milliseconds(day.slowest_ms));

  const Day mistake = spend(office, false);
  report.row("  the same work in the loop itself", "over " + milliseconds(kStallLimitMs),
             milliseconds(mistake.stall_ms), mistake.stall_ms > kStallLimitMs);
}

}  // namespace demos
