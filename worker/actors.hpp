// The executors of this process by slot: one for each actor it holds, and one for its tasks.
//
// Thread safety: the I/O thread's, like every Executor. Destroying it joins the executors' threads.
#pragma once

#include "common/seq_table.hpp"
#include "common/shared_values.hpp"
#include "worker/core/executors.hpp"
#include "worker/host.hpp"

#include <callboard/registry.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace callboard::worker {

class Actors final : public Executors {
 public:
  /// All outlive this.
  Actors(const Environment& environment, Host& host, const Registry& registry,
         std::uint32_t task_slots);
  ~Actors() override;

  void start(const wire::Start& start) override;
  void add_methods(std::uint32_t slot, std::span<const std::string> names) override;
  void submit(std::span<Job> jobs) override;
  Revoked revoke(std::uint32_t slot, std::uint64_t lease, bool running_too) override;
  void go_on(std::uint32_t slot, bool hand_back) override;
  void stop(std::uint32_t slot, bool now) override;
  void release(std::span<const std::uint32_t> tickets) override;
  void set_lease(std::int64_t until_us) override;

  /// What the executor reported: its constructor ended. Gives how many calls each concurrency group
  /// runs at once, the default group first; nothing when the slot is not here.
  std::vector<std::uint32_t> constructed(std::uint32_t slot);
  /// What the executor reported: it has stopped. Destroys it.
  void destroy(std::uint32_t slot);
  /// Stops every actor and the tasks; destroy() follows for each.
  void stop_all();
  /// When an actor with a process of its own will have overstayed the order to stop at once; the
  /// process must then be replaced, since nothing else ends a method that does not want to. kNever
  /// when there is none.
  std::int64_t overstay_us() const { return overstay_us_; }
  /// Slots that have an executor.
  std::size_t size() const { return slots_.size(); }
  /// Calls that were submitted to these slots and have not begun.
  std::uint64_t queued(std::span<const std::uint32_t> numbers);
  /// Leaves the executors and their threads as they are: the process is about to end at once.
  void abandon();

 private:
  /// What is to be known of a constructor until it runs.
  struct Construction {
    RecordedCall call;
    Payload args;
  };
  struct Slot {
    std::unique_ptr<SlotHost> host;
    std::unique_ptr<Executor> executor;  ///< after host, which it refers to
    std::unique_ptr<Construction> construction;
    std::uint32_t ticket = kNoSlot;      ///< of the constructor while it runs
    bool waits = false;                  ///< for the recorder
    bool stopping = false;
    bool dedicated = false;

    /// As new; the executor goes before the host that it tells.
    void reset();
  };

  Slot* find(std::uint32_t number);
  Slot& make_slot(std::uint32_t number, ActorId actor, std::uint64_t incarnation);
  Slot& tasks();
  bool construct(Slot& slot);
  void construct_waiting();
  void try_again(std::size_t most);
  /// Consecutive jobs of one slot.
  struct Run {
    Slot* slot = nullptr;
    std::span<Job> jobs;
  };
  void find_runs(std::span<Job> jobs);
  void turn_away(std::span<Job> jobs);

  const Environment& environment_;
  Host& host_;
  const Registry& registry_;
  const std::uint32_t task_slots_;
  std::vector<std::string> task_names_;
  SeqTable<Slot> slots_;
  std::vector<Run> runs_;              ///< of submit()
  SharedValues<wire::ActorOptions> options_;
  std::deque<std::uint32_t> constructors_waiting_;
  std::uint32_t overstaying_ = 0;      ///< the slot that overstay_us_ is about
  std::int64_t overstay_us_ = kNever;
};

}  // namespace callboard::worker
