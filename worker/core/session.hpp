// The worker's side of a connection, as a state machine without I/O: actors and calls that the
// broker gave to this process, results until the broker confirms them, and credits.
//
// Thread safety: none; one thread owns it, the same that owns the link.
//
//   RUN ──> queued ──(begins, in its executor)──> ended ──DONE──> told ──FORGET──> (gone)
//             │ returned                            ^                │
//             └──RETURNED──> (gone)                 └── new hello ───┘
//
// Invariants:
// - what a hello does not list has not begun and never will: fill_hello() takes back every call
//   that has not begun before it lists the others, and whatever arrives before the welcome is
//   ignored;
// - a result stays until FORGET, and is told again after every welcome;
// - a lease number is accepted once for each run of the broker.
#pragma once

#include "common/few.hpp"
#include "common/link.hpp"
#include "common/seq_table.hpp"
#include "worker/core/executors.hpp"
#include "worker/core/lease_set.hpp"
#include "worker/core/prefetch.hpp"
#include "worker/core/watch_list.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace callboard::worker {

/// What this process is and offers, for its hello.
struct WorkerOffer {
  std::string name;                     ///< unique among the broker's workers
  std::string supervisor;
  std::string host;
  std::uint64_t pid = 0;
  std::uint64_t instance = 0;           ///< random
  std::uint32_t task_slots = 1;
  std::uint32_t recorder_slots = limits::kRecorderSlots;  ///< calls begun and unconfirmed at most
  std::vector<wire::ClassOffer> classes;
  std::vector<std::string> tasks;
};

/// For people and metrics.
struct WorkerCounters {
  std::uint64_t runs = 0, ended = 0, returned = 0, repeated = 0, recalled = 0;
};

class WorkerSession final : public wire::LinkMember {
 public:
  /// `executors` and `link` outlive it.
  WorkerSession(WorkerOffer offer, Executors& executors, const wire::Link& link);

  // --- wire::LinkMember ------------------------------------------------------------------------
  void fill_hello(wire::Hello& hello) override;
  void on_welcome(Instant now, const wire::Welcome& welcome, bool new_epoch,
                  wire::LinkOut& out) override;
  bool on_message(Instant now, std::uint64_t type, std::uint32_t fields, wire::FrameReader& in,
                  wire::LinkOut& out) override;
  void on_tick(Instant now, bool ready, wire::LinkOut& out) override;
  std::int64_t next_deadline_us() const override;
  void on_disconnected(Instant now) override;
  void on_session_unknown(Instant now, bool lost) override;
  void on_ended(Instant now, const wire::Goodbye& why) override;
  bool owes_nothing() const override { return drained(); }

  // --- from the executors; on_tick() of the same turn tells the broker ---------------------------
  /// `limits`: how many calls each concurrency group runs at once, the default group first.
  void started(std::uint32_t slot, const ErrorInfo& error, std::span<const std::uint32_t> limits);
  void outcomes(std::span<Outcome> outcomes);
  void stopped(std::uint32_t slot);

  // --- from the process ------------------------------------------------------------------------
  /// An encoded map for the next STATUS message.
  void report(std::string info) { status_ = std::move(info); }
  /// Takes no more calls, hands back what has not begun; what runs may end.
  void drain();
  /// After drain(): nothing runs, and every result is confirmed.
  bool drained() const { return draining_ && calls_.empty(); }
  bool ended() const { return ended_; }

  std::size_t calls() const { return calls_.size(); }
  /// Slots with calls that have not ended.
  std::vector<std::uint32_t> busy_slots();
  std::size_t actors() const { return slots_.size() - 1; }
  const WorkerCounters& counters() const { return counters_; }
  /// Name and id of the actor in a slot, for people; empty for slot 0 and unknown slots.
  std::string_view name_of_slot(std::uint32_t slot);

 private:
  struct Group {
    Prefetch prefetch{0, 0};
    std::uint32_t limit = 0;    ///< what its executor runs at once
    std::uint32_t arrived = 0;  ///< calls of this turn, not yet in `prefetch`
    std::uint32_t told = 0;     ///< the window that the broker knows
  };
  struct Slot {
    // What each call reads is first.
    ActorId actor;
    std::uint64_t incarnation = 0;
    bool shared = false;        ///< others may run its calls: a task slot or a replica
    bool dedicated = false;     ///< it wants the process for itself
    bool starting = true;
    bool stopping = false;
    bool failed = false;        ///< its constructor
    bool active = false;        ///< in active_
    bool watched = false;       ///< in watched_
    bool ended = false;         ///< calls of it have, and adapt() has not seen it
    bool gone = false;          ///< kept only because it is in active_
    std::uint32_t held = 0;     ///< outcomes that await go_on
    std::uint32_t look = 0;     ///< of watch(): the last one that met it
    struct Method { std::uint32_t index = 0; std::uint8_t group = 0; };
    Few<Method> methods;                                           ///< the broker's index
    Few<Group> groups;
    std::string name;
    std::vector<std::string> group_names;                          ///< [0] is the default group
    std::vector<std::pair<std::string, std::string>> method_groups;  ///< method, group
    std::vector<std::string> known_methods;                          ///< by executor's index
    static constexpr std::size_t kHotBytes = 256;                  ///< up to the name, about
  };
  struct alignas(64) Held {
    CallId call;
    ActorId actor;              ///< whose call; it may be gone before its result is confirmed
    std::uint64_t incarnation = 0;
    std::uint32_t slot = 0;
    std::uint32_t attempt = 0;
    std::uint8_t group = 0;
    bool ended = false;
    bool held = false;          ///< its lane awaits go_on
    /// A REVOKE found it unbegun. What came behind it may begin, so that no broker may send it
    /// again: it is kept until one knows.
    bool taken_back = false;
    Errc status = Errc::ok;     ///< once it has ended; taken back: why
    std::uint32_t ticket = 0;
    Payload value;

    /// As new, but for the memory of a short value and what add_call() writes.
    void reset();
  };

  bool on_start(std::uint32_t fields, wire::FrameReader& in);
  void keep_revoked(const wire::Run& run);
  bool on_stop(std::uint32_t fields, wire::FrameReader& in);
  bool on_method_table(std::uint32_t fields, wire::FrameReader& in);
  bool on_go_on(std::uint32_t fields, wire::FrameReader& in);

  [[gnu::always_inline]] Slot* find_slot(std::uint32_t number) {
    if (cached_slot_ != nullptr && cached_number_ == number) return cached_slot_;
    const std::unique_ptr<Slot>* const found = slots_.find(number);
    if (found == nullptr) return nullptr;
    cached_number_ = number;
    cached_slot_ = found->get();
    return cached_slot_;
  }
  void expect_slot(std::uint32_t number);
  Slot& add_slot(std::uint32_t number);
  void erase_slot(std::uint32_t number);
  void activate(std::uint32_t number, Slot& slot) {
    if (slot.active) return;
    slot.active = true;
    active_.push_back({number, &slot});
  }
  void release_lanes();
  bool takes_tasks() const { return !draining_ && dedicated_ == 0; }
  void renew_lease();
  std::string encoded_error(Errc code, std::string message) const;

  // calls.cpp
  bool on_runs(Instant now, std::uint32_t fields, wire::FrameReader& in);
  bool on_forget(std::uint32_t fields, wire::FrameReader& in);
  bool on_revoke(std::uint32_t fields, wire::FrameReader& in, wire::LinkOut& out);
  Held& add_call(const wire::Run& run, const Slot& slot);
  static std::uint8_t group_named_by(std::string_view options, const Slot& slot,
                                     std::uint8_t otherwise);
  void take_run(Instant now, wire::Run& run, Slot* slot);
  void queue_job(Instant now, wire::Run& run, std::uint32_t method);
  void submit_jobs();
  void forget(std::uint64_t lease, Held& held);
  void end_here(Held& held, std::uint64_t lease, Errc code, std::string message);
  /// Everything that has not begun, or only what is in one slot (and group).
  struct Where {
    std::uint32_t slot = 0;
    int group = -1;             ///< -1: all
  };
  void take_back(bool tell, const Where* where = nullptr);

  // windows.cpp
  void set_limits(std::uint32_t number, Slot& slot, std::span<const std::uint32_t> limits);
  void drop_limits(const Slot& slot);
  void share_recorder();
  std::uint32_t recorder_level() const;
  void count_arrivals(Instant now);
  void adapt_windows(Instant now);
  void watch(Instant now);
  void adapt(Instant now, std::uint32_t number, Slot& slot);
  void recall(std::uint32_t number, std::size_t group);

  // tell.cpp
  void tell(wire::LinkOut& out);
  void tell_started(wire::LinkOut& out);
  void tell_ended(wire::LinkOut& out);
  void tell_windows(wire::LinkOut& out);

  WorkerOffer offer_;
  Executors& executors_;
  const wire::Link& link_;
  bool ready_ = false;            ///< welcomed, and no hello since
  bool draining_ = false;
  bool ended_ = false;
  std::int64_t lease_us_ = 0;     ///< how long after the broker heard us calls may begin
  std::int64_t lease_until_us_ = 0;
  LeaseSet leases_seen_;          ///< of this run of the broker

  SeqTable<std::unique_ptr<Slot>> slots_;          ///< always holds slot 0, the tasks
  std::uint32_t dedicated_ = 0;                    ///< slots that want the process for themselves
  std::uint32_t cached_number_ = 0;
  Slot* cached_slot_ = nullptr;
  SeqTable<Held> calls_;             ///< by lease

  struct ArrivedRun {
    wire::Run run;
    Slot* slot = nullptr;
  };
  std::array<ArrivedRun, 8> arrived_;              ///< kept: making one costs something
  std::vector<Job> jobs_;                          ///< [0, job_count_) wait for submit_jobs()
  std::size_t job_count_ = 0;

  // What waits to be told.
  struct StartedReport { std::uint32_t slot = 0; Errc code = Errc::ok; std::string error; };
  std::vector<std::uint64_t> ended_leases_;
  std::vector<std::uint64_t> returned_leases_;
  std::map<std::uint64_t, Errc> revoked_ahead_;  ///< whose RUN has not come: why
  std::vector<StartedReport> started_slots_;
  std::vector<std::uint32_t> stopped_slots_;
  std::string status_;

  struct Active { std::uint32_t number = 0; Slot* slot = nullptr; };
  std::vector<Active> active_;                     ///< slots where calls came or ended this turn
  std::vector<std::unique_ptr<Slot>> gone_;        ///< of those, what is in slots_ no more
  WatchList watched_;                              ///< slots with calls sent ahead
  std::uint32_t looks_ = 0;                        ///< counts those of watch()
  std::int64_t watch_due_us_ = kNever;
  std::vector<std::uint32_t> windows_changed_;     ///< slots
  std::map<std::uint32_t, std::uint64_t> limits_;  ///< of groups, and how many have each
  std::vector<std::uint32_t> new_limits_;          ///< slots that were given theirs
  bool limits_changed_ = false;
  std::uint32_t limit_level_ = UINT32_MAX;         ///< no group may run more than this
  std::vector<std::uint32_t> tickets_;             ///< to release at the end of the turn
  WorkerCounters counters_;
};

}  // namespace callboard::worker
