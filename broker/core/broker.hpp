// The whole broker of one shard, as a state machine without I/O.
//
// Thread safety: none; one thread owns it.
// Life: construct, load() every entry of the store, loaded(), then step() for ever. State changes
// are applied in memory at once; what they change in the store gathers in a batch, and what may not
// be told before that batch is committed waits for Committed. At most one batch is in flight.
#pragma once

#include "broker/core/event.hpp"
#include "broker/core/time_zone.hpp"
#include "broker/store/journal.hpp"
#include "common/limits.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace callboard::broker {

/// What an operator may set.
struct BrokerOptions {
  /// Told in answers to `health`, for people and for measurements.
  std::uint64_t pid = 0;
  std::string host;
  std::string store;            ///< where Redis is, without its password
  std::uint64_t store_pid = 0;  ///< as Redis said it; 0 when it did not
  std::string version;          ///< of the program
  std::string name = "broker";
  std::uint32_t shard = 0;
  std::uint64_t epoch = 1;  ///< of this run; higher than any before on this store
  std::uint64_t timeline = 1;
  std::uint64_t commit_no = 0;         ///< the last commit in the store
  std::string went_back;  ///< not empty: the store went back in time, and why that is known
  std::uint64_t times_back = 0;  ///< how often that was noticed since the process began
  StoreFacts store_facts;
  std::vector<std::string> endpoints;  ///< told to peers in the shard map
  std::int64_t lease_ms = limits::kLeaseMs;
  std::int64_t worker_lease_ms = limits::kWorkerLeaseMs;
  std::int64_t heartbeat_ms = limits::kHeartbeatMs;
  std::int64_t session_grace_ms = limits::kSessionGraceMs;
  std::int64_t result_ttl_ms = limits::kResultTtlMs;
  std::int64_t settle_ms = limits::kSettleMs;
  /// How long a confirmation that nobody waits for may wait for a frame to ride on; 0: not at all.
  std::int64_t confirm_delay_us = 0;
  /// How long a change of a queue may stay in the journal; 0: there is none.
  std::int64_t journal_ms = limits::kSettleMs;
  /// A queue of which so many calls stayed longer is a backlog: its calls skip the journal.
  std::uint32_t journal_backlog = Journal::kBacklog;
  std::uint64_t max_pending = limits::kMaxPendingDefault;  ///< default of a queue
  std::uint64_t max_pending_bytes = limits::kMaxPendingBytesDefault;
  /// Bytes that calls may take in memory: beyond it waiting ones are in the store only.
  /// 0: no limit.
  std::uint64_t memory_max = 0;
  std::uint64_t max_unreleased_bytes = limits::kUnreleasedBytesMax;
  std::size_t store_batch_bytes_max = limits::kStoreBatchBytesMax;
  int poison_limit = limits::kPoisonLimit;
  /// A lane rises by one level of priority for every so long that its head has waited.
  std::int64_t priority_ageing_ms = limits::kPriorityAgeingMs;
  std::int64_t dedupe_ttl_ms = limits::kDedupeTtlMs;  ///< of outcomes under an idempotency key
  std::uint64_t dead_max = limits::kDeadMax;          ///< of one queue's dead set
  std::uint64_t dead_bytes_max = limits::kDeadBytesMax;
  std::int64_t dead_ttl_ms = limits::kDeadTtlMs;
};

class Core;

class Broker {
 public:
  /// `read_zone` leads to time zones other than UTC, for schedules.
  Broker(const BrokerOptions& options, std::uint64_t random_seed, ZoneReader read_zone = {});
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  /// Takes one entry of the store at start-up. A non-empty answer says why it cannot be read.
  std::string load(const StoreEntry& entry);
  /// All entries were loaded; work begins.
  void loaded(Instant now, Effects& effects);

  /// Applies one event and appends what follows from it to `effects`.
  /// REQUIRES: `now.mono_us` never goes back from one call to the next.
  void step(Instant now, const Event& event, Effects& effects);

  /// When step() is next due with a Tick (microseconds of the steady clock); kNever if never.
  std::int64_t next_deadline_us() const;

  /// True while Redis is there and the batch is large already: frames should stay with the
  /// transport until it is taken, so that peers slow down instead of being refused.
  bool congested() const;

  /// True when a batch waits and none is in flight.
  bool has_batch() const;
  /// Bytes that wait for the next commit, about.
  std::size_t batch_bytes() const;
  /// The batch to commit, with its number. It stays valid and unchanged until Committed.
  /// REQUIRES: has_batch()
  const StoreBatch& take_batch(std::uint64_t& commit_no);
  /// This run ends: the batches from now on bring what waits in the journal to where others see it.
  void settle_journal();

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace callboard::broker
