// The Executor of one actor, or of a process's tasks: it makes the lanes, gives each call to the
// lane of its concurrency group, and sees to it that the object outlives them.
//
// Lane 0 is the default group and the one whose first thread makes and destroys the object. Lane
// i is group i of ActorOptions::groups. Tasks that are coroutines have a lane behind those.
//
// Thread safety: as executor.hpp says; what LaneOwner declares is called by the lanes' threads.
#pragma once

#include "worker/executor.hpp"
#include "worker/executors/active_call.hpp"
#include "worker/executors/incarnation.hpp"
#include "worker/executors/lane.hpp"

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <semaphore>
#include <span>
#include <string>
#include <vector>

namespace callboard::worker {

class ActorExecutor final : public Executor, private LaneOwner {
 public:
  /// Which lanes there are; lane 0 first.
  struct Plan {
    struct Group {
      wire::Mode mode = wire::Mode::serial;
      std::uint32_t limit = 1;
    };
    std::vector<Group> groups;
    /// A lane of its own for coroutines, which lane 0 cannot run.
    bool coroutines_apart = false;
  };

  ActorExecutor(const Environment& environment, const ClassEntry& entry, ActorSpec spec,
                const Plan& plan);
  ~ActorExecutor() override;

  void start(Payload args, std::uint32_t ticket) override;
  void add_methods(std::span<const std::string> names) override;
  void submit(std::span<Job> jobs) override;
  void expect() override;
  Revoked revoke(std::uint64_t lease, bool running_too) override;
  void go_on(bool hand_back) override;
  void try_again() override;
  void stop(bool now) override;
  void stats(std::vector<GroupStats>& out) const override;

  /// For tasks, which have no constructor.
  void start_without_object();

 private:
  struct Target {
    const Method* method = nullptr;
    std::size_t lane = 0;
  };

  void report_held(Lane& lane, Outcome& outcome) override;
  void drained() override;
  void last_rites() override;

  void start_lanes(std::function<void()> first);
  void construct(const Payload& args, std::uint32_t ticket);
  void open(bool usable);
  std::size_t lane_of_group(std::string_view group) const;
  Target target_of(const std::string& method);
  const Method& unknown(std::string name);
  Target nameless();
  std::size_t lane_of(ActiveCall& call, std::size_t method_lane) const;
  void turn_away(std::span<Job> jobs);

  // What each call needs is first, and prefetched.
  Incarnation incarnation_;
  std::vector<Target> table_;
  CallPool* pool_ = nullptr;
  Lane* first_lane_ = nullptr;  ///< none: there were no threads to be had
  std::uint64_t submitted_ = 0;
  bool started_ = false;
  bool broken_ = false;   ///< there were no threads to be had
  bool stopping_ = false;
  const bool coroutines_apart_;

  std::list<Method> unknown_;   ///< names in the table that the class does not have
  const Method* nameless_ = nullptr;  ///< once a number came that the table does not have
  std::atomic<std::size_t> lanes_left_{0};
  std::binary_semaphore gone_{0};  ///< last_rites() is over
  std::mutex held_mutex_;
  std::list<Lane*> held_;   ///< oldest first

  CallPool::Owner own_pool_;   ///< where there is none to share
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace callboard::worker
