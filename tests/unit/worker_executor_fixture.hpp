// A worker process as executors see it, for their tests: a host that notes what it is told, and a
// gate at which methods wait until the test lets them go on.
#pragma once

#include "common/messages.hpp"
#include "worker/executor.hpp"
#include "worker/executors/active_call.hpp"
#include "worker/executors/lane_thread.hpp"
#include "worker/executors/lane_threads.hpp"

#include <callboard/registry.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace callboard::worker {

/// Long enough for any machine; only a test that fails waits so long.
inline constexpr std::chrono::seconds kPatience{60};

/// Notes everything, in order; wait() blocks until what was noted satisfies a condition.
class NotingHost final : public ExecutorHost {
 public:
  struct Stall {
    std::string method;
    std::int64_t ms = 0;
    bool over = false;
  };

  Begin begin(Job& job, std::int64_t) override {
    const std::lock_guard lock(mutex);
    if (begins_allowed == 0) return Begin::wait;
    --begins_allowed;
    job.ticket = static_cast<std::uint32_t>(job.lease % 1000 + 1);
    begun.push_back(job.lease);
    changed.notify_all();
    return Begin::run;
  }
  void ended(std::span<Outcome> given, bool more_soon) override {
    const std::lock_guard lock(mutex);
    for (Outcome& outcome : given) {
      order.push_back(outcome.lease);
      EXPECT_TRUE(outcomes.emplace(outcome.lease, std::move(outcome)).second) << "two outcomes";
    }
    owed = more_soon;
    ++reports;
    changed.notify_all();
  }
  void started(std::uint32_t, ErrorInfo error) override {
    const std::lock_guard lock(mutex);
    constructed.push_back(std::move(error));
    changed.notify_all();
  }
  void stopped(std::uint32_t) override {
    const std::lock_guard lock(mutex);
    ++stops;
    changed.notify_all();
  }
  void stalled(std::uint32_t, std::string_view method, std::int64_t ms, bool over) override {
    const std::lock_guard lock(mutex);
    stalls.push_back({std::string(method), ms, over});
    changed.notify_all();
  }
  void stray_error(std::uint32_t, const ErrorInfo& error) override {
    const std::lock_guard lock(mutex);
    strays.push_back(error);
    changed.notify_all();
  }

  /// True when `condition` holds, at once or later.
  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, condition);
  }
  bool wait_for_outcomes(std::size_t n) {
    return wait([this, n] { return outcomes.size() >= n; });
  }
  bool wait_for_begun(std::size_t n) {
    return wait([this, n] { return begun.size() >= n; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::size_t begins_allowed = SIZE_MAX;
  std::vector<std::uint64_t> begun;
  std::vector<std::uint64_t> order;  ///< of outcomes
  std::map<std::uint64_t, Outcome> outcomes;
  std::vector<ErrorInfo> constructed;
  std::vector<Stall> stalls;
  std::vector<ErrorInfo> strays;
  std::size_t reports = 0;
  bool owed = false;  ///< more_soon was the last word
  int stops = 0;
};

/// Methods wait here. Also counts how many are inside at once.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++inside_;
    most_ = std::max(most_, inside_);
    changed_.notify_all();
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return open_ || permits_ > 0; }));
    if (!open_) --permits_;
    --inside_;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  /// Lets `n` through.
  void admit(int n) {
    const std::lock_guard lock(mutex_);
    permits_ += n;
    changed_.notify_all();
  }
  bool wait_inside(int n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [this, n] { return inside_ >= n; });
  }
  int most_inside() {
    const std::lock_guard lock(mutex_);
    return most_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  int most_ = 0;
  int permits_ = 0;
  bool open_ = false;
};

/// What the test's classes reach without being given it.
struct Scene {
  Gate gate;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> log;
  std::atomic<int> alive{0};  ///< objects

  void note(std::string line) {
    const std::lock_guard lock(mutex);
    log.push_back(std::move(line));
    changed.notify_all();
  }
  bool wait_for_lines(std::size_t n) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, [this, n] { return log.size() >= n; });
  }
};
inline Scene* scene = nullptr;

template <class... A>
std::string encode_list(const A&... args) {
  std::string bytes;
  wire::Writer out(bytes);
  out.array(sizeof...(A));
  (Codec<A>::encode(out, args), ...);
  return bytes;
}

class ExecutorTest : public ::testing::Test {
 protected:
  ExecutorTest() {
    scene = &scene_;
    environment_.worker = "worker-7";
    environment_.pid = 4711;
    environment_.threads = std::make_shared<LaneThreads>([] {});
    environment_.calls = CallPool::create();
  }
  ~ExecutorTest() override {
    scene_.gate.open();
    {
      const std::lock_guard lock(host_.mutex);
      host_.begins_allowed = SIZE_MAX;
    }
    executors_.clear();
    scene = nullptr;
  }

  /// An executor of C whose constructor runs with `args`; the table has all methods of C.
  template <class C, class... A>
  Executor& actor(wire::ActorOptions options, const A&... args) {
    registry_.add<C>();
    const ClassEntry& entry = *registry_.find(description<C>.name());
    ActorSpec spec;
    spec.host = &host_;
    spec.slot = static_cast<std::uint32_t>(executors_.size() + 1);
    spec.actor = ActorId{SessionId{1}, spec.slot};
    spec.incarnation = 3;
    spec.name = name_;
    spec.options = std::make_shared<const wire::ActorOptions>(std::move(options));
    executors_.push_back(make_actor_executor(environment_, entry, std::move(spec)));
    Executor& executor = *executors_.back();
    executor.start(Payload(encode_list(args...)), 1);
    table(executor, entry);
    return executor;
  }
  Executor& tasks(std::uint32_t task_slots) {
    executors_.push_back(make_task_executor(environment_, registry_, task_slots, host_));
    table(*executors_.back(), registry_.tasks());
    return *executors_.back();
  }

  template <class... A>
  Job job(const std::string& method, const A&... args) {
    Job made;
    made.lease = ++leases_;
    made.call = CallId{SessionId{9}, made.lease};
    made.method = methods_.at(method);
    made.args = Payload(encode_list(args...));
    return made;
  }
  /// Submits one call and gives its lease.
  template <class... A>
  std::uint64_t call(Executor& executor, const std::string& method, const A&... args) {
    return submit(executor, job(method, args...));
  }
  static std::uint64_t submit(Executor& executor, Job made) {
    const std::uint64_t lease = made.lease;
    executor.submit({&made, 1});
    return lease;
  }
  static std::string encoded(const wire::CallOptions& options) {
    std::string bytes;
    wire::Writer out(bytes);
    write(out, options);
    return bytes;
  }

  /// The outcome of one call, when it is there.
  Outcome outcome(std::uint64_t lease) {
    EXPECT_TRUE(host_.wait([&] { return host_.outcomes.contains(lease); })) << "no outcome";
    const std::lock_guard lock(host_.mutex);
    return host_.outcomes[lease];
  }
  template <class T>
  T result(std::uint64_t lease) {
    const Outcome found = outcome(lease);
    EXPECT_EQ(found.status, Errc::ok) << error(lease).message;
    T value{};
    std::string problem;
    EXPECT_TRUE(decode(found.value.view(), value, problem)) << problem;
    return value;
  }
  ErrorInfo error(std::uint64_t lease) {
    return wire::decode_error(outcome(lease).value.view(), Errc::internal);
  }
  /// Stops the executor and waits until it has stopped.
  void stop(Executor& executor, bool now = false) {
    const int before = stops();
    executor.stop(now);
    EXPECT_TRUE(host_.wait([&] { return host_.stops > before; })) << "it did not stop";
  }
  int stops() {
    const std::lock_guard lock(host_.mutex);
    return host_.stops;
  }
  std::vector<std::uint64_t> begun() {
    const std::lock_guard lock(host_.mutex);
    return host_.begun;
  }
  std::vector<std::string> log() {
    const std::lock_guard lock(scene_.mutex);
    return scene_.log;
  }

  std::string name_ = "desk";  ///< of the next actors
  Registry registry_;
  NotingHost host_;
  Environment environment_;
  Scene scene_;
  std::vector<std::unique_ptr<Executor>> executors_;

 private:
  void table(Executor& executor, const ClassEntry& entry) {
    std::vector<std::string> names;
    for (const Method& method : entry.methods) names.push_back(method.name);
    names.push_back("no_such_method");
    for (std::size_t i = 0; i < names.size(); ++i) {
      methods_[names[i]] = static_cast<std::uint32_t>(i);
    }
    executor.add_methods(names);
  }

  std::map<std::string, std::uint32_t> methods_;
  std::uint64_t leases_ = 0;
};

}  // namespace callboard::worker
