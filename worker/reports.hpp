// Tells the broker how children died, until it has heard.
//
// A member of the supervisor's own connection. A report is written as soon as the connection is
// there, and again after every welcome; once the broker has answered a ping that was written
// after it, it has heard the report, and the child's flight recorder is deleted.
//
// Thread safety: add() and pending() from any thread; the rest is the connection's.
#pragma once

#include "common/link.hpp"
#include "worker/flight_file.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>

namespace callboard::worker {

class Reports final : public wire::LinkMember {
 public:
  /// `on_heard` is called in the connection's thread when a report has been heard.
  Reports(std::string supervisor, wire::Link& link, std::function<void()> on_heard);

  /// The caller wakes the connection after it.
  void add(wire::ChildDied report, FlightFile file);
  /// Reports that the broker has not heard.
  std::size_t pending() const;
  /// Whether one of them is about that child.
  bool pending(std::string_view child) const;

  void fill_hello(wire::Hello& hello) override;
  void on_welcome(Instant now, const wire::Welcome& welcome, bool new_epoch,
                  wire::LinkOut& out) override;
  bool on_message(Instant now, std::uint64_t type, std::uint32_t fields, wire::FrameReader& in,
                  wire::LinkOut& out) override;
  void on_tick(Instant now, bool ready, wire::LinkOut& out) override;
  std::int64_t next_deadline_us() const override { return kNever; }
  void on_disconnected(Instant) override {}
  void on_session_unknown(Instant, bool) override {}
  void on_ended(Instant, const wire::Goodbye&) override {}

 private:
  struct Report {
    wire::ChildDied message;
    FlightFile file;
    std::uint64_t asked = 0;  ///< after it was sent on the present connection; 0: not yet
  };

  const std::string supervisor_;
  wire::Link& link_;
  const std::function<void()> on_heard_;
  mutable std::mutex mutex_;
  std::list<Report> reports_;  ///< guarded by mutex_
};

/// What a page says as the broker wants to hear it. `killed_by_us`: the signal was ours (drain, or
/// the supervisor's own end), so no call is to blame for it.
wire::ChildDied child_died(const FlightReport& page, int wait_status, bool killed_by_us,
                           std::string stderr_tail);

}  // namespace callboard::worker
