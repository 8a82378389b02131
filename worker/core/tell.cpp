// What the worker session tells the broker at the end of each turn.
#include "worker/core/session.hpp"

#include "common/call_messages.hpp"

#include <algorithm>
#include <optional>

namespace callboard::worker {

void WorkerSession::tell(wire::LinkOut& out) {
  tell_started(out);
  tell_windows(out);
  for (const std::uint64_t lease : returned_leases_) {
    wire::Returned returned{lease};
    if (const Held* held = calls_.find(lease)) returned.why = held->status;
    if (const auto at = revoked_ahead_.find(lease); at != revoked_ahead_.end()) {
      returned.why = at->second;
    }
    wire::FrameWriter writer = out.message();
    wire::write(writer, returned);
  }
  returned_leases_.clear();
  tell_ended(out);
  for (const std::uint32_t number : stopped_slots_) {
    wire::FrameWriter writer = out.message();
    wire::write(writer, wire::Stopped{number});
  }
  stopped_slots_.clear();
  if (!status_.empty()) {
    wire::FrameWriter writer = out.message();
    wire::write(writer, wire::Status{status_});
    status_.clear();
  }
}

void WorkerSession::tell_ended(wire::LinkOut& out) {
  std::optional<wire::DoneWriter> done;
  for (const std::uint64_t lease : ended_leases_) {
    const Held* const held = calls_.find(lease);
    if (held == nullptr) continue;
    const std::string_view value = held->value.view();
    while (!done || !done->takes(value.size())) {
      done.reset();
      done.emplace(out.message());
    }
    done->write(lease, held->status, value, held->value.part, held->held);
  }
  ended_leases_.clear();
}

void WorkerSession::tell_started(wire::LinkOut& out) {
  const std::vector<StartedReport> reports = std::move(started_slots_);
  started_slots_.clear();
  for (const StartedReport& report : reports) {
    wire::FrameWriter writer = out.message();
    wire::write(writer, wire::Started{report.slot, report.code, report.error});
    if (report.code == Errc::ok) windows_changed_.push_back(report.slot);
  }
}

}  // namespace callboard::worker
