#include "worker/reports.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace callboard::worker {

namespace {

/// What a shell says of a process that was ended by SIGKILL.
constexpr int kKilledStatus = 137;

}  // namespace

Reports::Reports(std::string supervisor, wire::Link& link, std::function<void()> on_heard)
    : supervisor_(std::move(supervisor)), link_(link), on_heard_(std::move(on_heard)) {}

void Reports::add(wire::ChildDied report, FlightFile file) {
  const std::lock_guard lock(mutex_);
  reports_.push_back({std::move(report), std::move(file), 0});
}

std::size_t Reports::pending() const {
  const std::lock_guard lock(mutex_);
  return reports_.size();
}

bool Reports::pending(std::string_view child) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(reports_.begin(), reports_.end(),
                     [&](const Report& report) { return report.message.worker == child; });
}

void Reports::fill_hello(wire::Hello& hello) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  hello.role = wire::Role::supervisor;
  hello.name = supervisor_;
  hello.host = host.data();
  hello.pid = static_cast<std::uint64_t>(::getpid());
}

void Reports::on_welcome(Instant, const wire::Welcome&, bool, wire::LinkOut&) {
  const std::lock_guard lock(mutex_);
  for (Report& report : reports_) report.asked = 0;
}

bool Reports::on_message(Instant, std::uint64_t, std::uint32_t fields, wire::FrameReader& in,
                         wire::LinkOut&) {
  return in.skip_fields(fields);
}

void Reports::on_tick(Instant, bool ready, wire::LinkOut& out) {
  if (!ready) return;
  bool heard = false;
  {
    const std::lock_guard lock(mutex_);
    for (auto report = reports_.begin(); report != reports_.end();) {
      if (report->asked != 0 && link_.answered(report->asked)) {
        report->file.remove();
        report = reports_.erase(report);
        heard = true;
        continue;
      }
      if (report->asked == 0) {
        wire::FrameWriter writer = out.message();
        wire::write(writer, report->message);
        report->asked = link_.ask();
      }
      ++report;
    }
  }
  if (heard && on_heard_) on_heard_();
}

wire::ChildDied child_died(const FlightReport& page, int wait_status, bool killed_by_us,
                           std::string stderr_tail) {
  wire::ChildDied report;
  report.worker = page.owner.worker;
  report.instance = page.owner.instance;
  report.pid = page.pid;
  if (killed_by_us) {
    report.exit_status = kKilledStatus;
  } else if (WIFSIGNALED(wait_status)) {
    report.signal = WTERMSIG(wait_status);
  } else {
    report.exit_status = WEXITSTATUS(wait_status);
  }
  report.stderr_tail = std::move(stderr_tail);
  if (report.signal != 0) report.blamed = page.blamed;
  for (const FoundCall& found : page.calls) {
    wire::HeldCall& held = report.begun.emplace_back();
    held.lease = found.call.lease;
    held.call = found.call.call;
    held.attempt = found.call.attempt;
    held.actor = found.call.actor;
    held.incarnation = found.call.incarnation;
    held.ended = found.ended;
  }
  return report;
}

}  // namespace callboard::worker
