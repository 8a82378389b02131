// The calls that the methods of one worker process make: the real client Session that every worker
// has, and what is known of each call that a method waits for.
//
// Thread safety: none.
#pragma once

#include "client/core/session.hpp"
#include "tests/sim/context.hpp"
#include "tests/sim/process.hpp"
#include "worker/executor.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

namespace callboard::sim {

/// Whom a call's method calls in turn, by chance. Only such waits as cannot form a circle, other
/// than through an actor of the call's own chain: that one is promised to fail at once.
void choose_callee(Random& random, const Specs& specs, CallSpec& spec);

class MethodCalls final : public client::SessionSink {
 public:
  MethodCalls(Context& context, Process& process, Random random, client::SessionOptions options);

  client::Session& session() { return session_; }
  /// The method of `job` makes the call that its plan says. True when it waits for the answer:
  /// `done` is called then.
  bool make(const worker::Job& job, bool blocking, std::function<void()> done);
  /// Takes note of what came since. Called once in each turn.
  void see_all();
  /// Its process died, or left when nothing was open.
  void gone(bool died);
  bool quiet() const { return open_ == 0; }

 private:
  struct Event {
    client::Token token = 0;
    std::uint32_t handle = 0;  ///< of a refusal that holds up the lane
    Errc status = Errc::ok;
    std::string bytes;
    bool lane_waits = false;
  };
  struct Wait {
    CallId self;
    bool announced = false;
    std::function<void()> done;
  };

  // client::SessionSink
  void on_numbered(client::Token token, CallId id) override;
  void on_answer(client::Token token, Errc status, const wire::Body& value) override;
  void on_refused(client::Token token, std::uint32_t handle, Errc status,
                  std::string_view error) override;
  void on_settled(std::uint64_t, std::uint64_t) override {}
  void on_opened(std::uint32_t, const wire::Opened&) override {}
  void on_parked(std::uint32_t, bool) override {}
  void on_cancel_answer(client::Token, wire::CancelAnswer) override {}
  void on_request_answer(client::Token, Errc, std::string_view) override {}
  void on_connected(bool) override {}

  bool handle_of(const TargetSpec& target, std::uint32_t& handle);
  void see(const Event& event);
  CallSpec& spec_of(client::Token token) { return context_.specs.calls[token - 1]; }

  Context& context_;
  Process& process_;
  Random random_;
  client::Session session_;
  SessionId session_id_{};
  std::uint32_t client_;                         ///< as the checkers know it
  std::map<std::uint32_t, std::uint32_t> handles_;  ///< by target
  std::map<std::uint32_t, std::uint32_t> target_of_handle_;
  std::deque<Event> events_;
  std::map<client::Token, Wait> waits_;
  std::size_t open_ = 0;
};

}  // namespace callboard::sim
