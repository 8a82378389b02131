// A supervisor: its own connection to the broker, over which it tells how its children died.
//
// Thread safety: none.
#pragma once

#include "tests/sim/link_process.hpp"
#include "tests/sim/worker_process.hpp"

#include <deque>
#include <string>

namespace callboard::sim {

class SupervisorProcess final : public LinkProcess, private wire::LinkMember {
 public:
  SupervisorProcess(Context& context, Observer& observer, const std::string& name);

  /// A child is dead for certain; `blamed` is what the crash handler named.
  void report(const WorkerRemains& remains, int signal, CallId blamed);

 private:
  // wire::LinkMember
  void fill_hello(wire::Hello& hello) override;
  void on_welcome(Instant, const wire::Welcome&, bool, wire::LinkOut&) override {}
  bool on_message(Instant, std::uint64_t, std::uint32_t fields, wire::FrameReader& in,
                  wire::LinkOut&) override {
    return in.skip_fields(fields);
  }
  void on_tick(Instant now, bool ready, wire::LinkOut& out) override;
  std::int64_t next_deadline_us() const override { return kNever; }
  void on_disconnected(Instant) override {}
  void on_session_unknown(Instant, bool) override {}
  void on_ended(Instant, const wire::Goodbye&) override {}

  std::deque<wire::ChildDied> unsent_;
};

}  // namespace callboard::sim
