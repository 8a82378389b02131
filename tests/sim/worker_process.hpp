// A worker process: the real Link and WorkerSession, simulated executors, a flight recorder, and a
// supervisor that survives it.
//
// Thread safety: none.
#pragma once

#include "tests/sim/executor.hpp"
#include "tests/sim/link_process.hpp"
#include "tests/sim/method_calls.hpp"
#include "worker/core/session.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace callboard::sim {

/// The class and task names that every simulated worker offers.
inline constexpr const char* kSerialClass = "Serial";
inline constexpr const char* kAsyncClass = "Async";
inline constexpr int kTaskFunctions = 3;  ///< task0, task1, ...

/// What is left of a worker after kill -9, as its supervisor reads it.
struct WorkerRemains {
  std::string name;
  std::uint64_t instance = 0;
  std::uint64_t pid = 0;
  std::vector<wire::HeldCall> recorded;
};

class WorkerProcess final : public LinkProcess,
                            private worker::Executors,
                            public ExecutorSite {
 public:
  /// `on_poison`: a call that kills its process has begun here. `on_exit`: the broker sent it away.
  WorkerProcess(Context& context, Observer& observer, const std::string& name,
                const std::string& supervisor, std::uint32_t task_slots,
                std::uint32_t recorder_slots, std::function<void(CallId)> on_poison,
                std::function<void()> on_exit);

  void die() override;
  /// Says goodbye: nobody calls it any more.
  void leave();
  WorkerRemains remains() const;
  /// Calls that it holds: running, or ended and not confirmed.
  std::size_t calls() const { return session_.calls(); }
  std::size_t actors() const { return session_.actors(); }
  std::size_t recorder_in_use() const { return recorder_.size(); }
  bool ended() const { return session_.ended(); }
  const MethodCalls& method_calls() const { return method_calls_; }

 private:
  struct StartedMail { std::uint32_t slot; ErrorInfo error; std::vector<std::uint32_t> limits; };
  struct StoppedMail { std::uint32_t slot; };
  using Mail = std::variant<worker::Outcome, StartedMail, StoppedMail>;

  // worker::Executors
  void start(const wire::Start& start) override;
  void add_methods(std::uint32_t slot, std::span<const std::string> names) override;
  void submit(std::span<worker::Job> jobs) override;
  worker::Revoked revoke(std::uint32_t slot, std::uint64_t lease, bool running_too) override;
  void go_on(std::uint32_t slot, bool hand_back) override;
  void stop(std::uint32_t slot, bool now) override;
  void release(std::span<const std::uint32_t> tickets) override;
  void set_lease(std::int64_t until_us) override;

  // ExecutorSite
  worker::Begin begin(worker::Job& job, std::int64_t now_us) override;
  void ended(std::span<worker::Outcome> outcomes, bool more_soon) override;
  void started(std::uint32_t slot, ErrorInfo error) override;
  void stopped(std::uint32_t slot) override;
  void stalled(std::uint32_t, std::string_view, std::int64_t, bool) override {}
  std::int64_t clock_us() const override { return process_.now().mono_us; }
  void later(std::int64_t delay_us, std::function<void()> action) override;
  void constructing(const worker::ActorSpec& spec) override;
  void destroyed(const worker::ActorSpec& spec) override;
  bool entered(const worker::Job& job, const worker::ActorSpec& spec, std::uint64_t& execution,
               const Plan*& plan) override;
  void left(const worker::Job& job, const worker::ActorSpec& spec, std::uint64_t execution,
            Errc code) override;
  bool call_inside(const worker::Job& job, const worker::ActorSpec& spec,
                   std::function<void()> done) override;
  const TargetSpec* target_of(const worker::ActorSpec& spec) override;

  void before_tick() override;
  TargetSpec* target_in(std::string_view constructor_args);
  void construct_waiting();
  void try_again_soon();
  bool ticked(const worker::Job& job, const worker::ActorSpec& spec, const Plan*& plan);
  void check_arguments(const worker::Job& job, const CallSpec& spec);
  Record record_of(What what, const worker::ActorSpec& spec) const;
  static worker::WorkerOffer offer(const std::string& name, const std::string& supervisor,
                                   std::uint32_t task_slots, std::uint32_t recorder_slots,
                                   Random& random);

  worker::WorkerOffer offer_;
  std::function<void(CallId)> on_poison_;
  std::function<void()> on_exit_;
  bool exiting_ = false;
  std::map<std::uint32_t, std::unique_ptr<SimExecutor>> executors_;
  std::vector<std::unique_ptr<SimExecutor>> retired_;  ///< timers may still name them
  std::map<std::uint32_t, worker::ActorSpec> actors_;  ///< by slot
  std::deque<std::uint32_t> constructors_waiting_;     ///< slots, for the lease
  std::deque<Mail> mail_;
  std::map<std::uint32_t, wire::HeldCall> recorder_;   ///< by ticket
  std::uint32_t next_ticket_ = 1;
  std::int64_t lease_until_us_ = 0;
  bool waiting_ = false;        ///< somebody was told to wait
  bool trying_again_ = false;
  MethodCalls method_calls_;
  worker::WorkerSession session_;  ///< the last one: its constructor calls the others
};

}  // namespace callboard::sim
