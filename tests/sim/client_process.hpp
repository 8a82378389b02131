// A client process: the real Link and client Session, and an application that makes calls.
//
// The application works through a plan drawn from the seed: it creates its actors, then makes calls
// in bursts, cancels some, kills an actor at times, and takes note of every answer.
// Thread safety: none.
#pragma once

#include "client/core/full_queue.hpp"
#include "client/core/session.hpp"
#include "tests/sim/link_process.hpp"
#include "tests/sim/scenario.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace callboard::sim {

/// One simulated application's share of the run.
struct ClientPlan {
  std::uint32_t index = 0;
  std::vector<std::uint32_t> creates;   ///< targets
  std::vector<std::uint32_t> opens;     ///< targets that others create, and tasks
  int calls = 0;
};

class ClientProcess final : public LinkProcess, private client::SessionSink {
 public:
  ClientProcess(Context& context, Observer& observer, const Scenario& scenario, ClientPlan plan,
                const std::string& name);

  void die() override;
  /// No more calls; what is open is waited for.
  void stop_calling() { calling_ = false; }
  /// All its calls have their answers.
  bool quiet() const { return opened_ && open_ == 0 && calls_left_to_make() == 0; }
  /// Kills the named actors that it uses.
  void kill_named();
  void leave();
  /// The plan of a process that takes up its work.
  ClientPlan successor() const;
  const client::Session& session() const { return session_; }
  bool left() const { return left_; }

 private:
  class Answer;
  struct Use {                          ///< of a target
    std::uint32_t handle = 0;
    bool parked = false;
    client::FullQueue full;
  };
  struct Event {
    enum class Kind : std::uint8_t { answer, refused, cancel_answer, opened, parked } kind;
    client::Token token = 0;
    std::uint32_t handle = 0;
    Errc status = Errc::ok;
    std::string bytes;
    std::uint64_t value = 0;
  };

  // client::SessionSink
  void on_numbered(client::Token token, CallId id) override;
  void on_answer(client::Token token, Errc status, const wire::Body& value) override;
  void on_refused(client::Token token, std::uint32_t handle, Errc status,
                  std::string_view error) override;
  void on_settled(std::uint64_t, std::uint64_t) override {}
  void on_opened(std::uint32_t handle, const wire::Opened& opened) override;
  void on_parked(std::uint32_t handle, bool parked) override;
  void on_full(std::uint32_t handle, const client::FullTold& told) override;
  void on_not_full(std::uint32_t handle) override;
  void on_progress(std::uint32_t handle, const client::QueueProgress& progress) override;
  void on_cancel_answer(client::Token request, wire::CancelAnswer answer) override;
  void on_request_answer(client::Token, Errc, std::string_view) override {}
  void on_connected(bool) override {}

  void before_tick() override;
  void open_targets();
  void let_go_of_owned();
  void burst();
  void make_call();
  void choose_options(CallSpec& spec, const TargetSpec& target);
  void choose_dependencies(CallSpec& spec, client::CallExtra& extra);
  void choose_plan(CallSpec& spec);
  void choose_key(CallSpec& spec, const TargetSpec& target);
  void submit(CallSpec& spec, std::unique_ptr<client::CallExtra> extra);
  bool refuse_here(CallSpec& spec);
  void cancel_something();
  void kill_something();
  void see(const Event& event);
  void see_answer(const Event& event, CallSpec& spec);
  void see_refusal(const Event& event, CallSpec& spec, bool lane_waits);
  CallSpec& spec_of(client::Token token) { return context_.specs.calls[token - 1]; }
  void resume(std::uint32_t handle);
  int calls_left_to_make() const { return calling_ ? calls_left_ : 0; }

  const Scenario& scenario_;
  ClientPlan plan_;
  client::Session session_;
  SessionId session_id_{};                                   ///< that the history knows it by
  std::map<std::uint32_t, Use> uses_;                        ///< by target
  std::map<std::uint32_t, std::uint32_t> target_of_handle_;
  std::deque<Event> events_;
  std::map<client::Token, std::shared_ptr<Answer>> answers_;
  std::deque<client::Token> recent_;                         ///< calls made lately
  std::map<client::Token, client::Token> cancels_;           ///< request -> call
  client::Token next_request_ = 1;
  int calls_left_ = 0;
  std::size_t open_ = 0;                                     ///< calls without an answer
  bool calling_ = true;
  bool left_ = false;
  bool opened_ = false;                                      ///< its targets
};

}  // namespace callboard::sim
