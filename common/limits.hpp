// Every bound of the system: its unit, its reason, and how the bounds relate.
#pragma once

#include <cstddef>
#include <cstdint>

namespace callboard::limits {

// --- protocol -------------------------------------------------------------------------------
inline constexpr std::uint64_t kProtocolVersionMin = 1;
inline constexpr std::uint64_t kProtocolVersionMax = 1;

/// Values of this size and more travel as a message part of their own and are never copied.
inline constexpr std::size_t kPartBytesMin = 16 * 1024;
/// Values of this size and more are worth a block of shared memory where sender and receiver have
/// some in common. Parts below kPartBytesMin are then references to such blocks.
inline constexpr std::size_t kSharedBytesMin = 32 * 1024;
/// Part 0 of a frame. A sender closes a frame once it is beyond kFrameBytesTarget.
inline constexpr std::size_t kFrameBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kFrameBytesTarget = 256 * 1024;
/// One value: argument list or result.
inline constexpr std::size_t kPayloadBytesMax = 512ull * 1024 * 1024;
inline constexpr std::size_t kFramePartsMax = 1024;
/// Names of actors, classes, methods, groups, namespaces, workers.
inline constexpr std::size_t kNameBytesMax = 200;
inline constexpr std::size_t kMethodsMax = 1024;      ///< per class
inline constexpr std::size_t kHandlesMax = 1u << 20;  ///< open queues of one client
inline constexpr std::size_t kRefsMax = 1024;         ///< futures among the arguments of one call
inline constexpr std::size_t kGroupsMax = 64;         ///< concurrency groups of one actor
inline constexpr std::size_t kHeaderBytesMax = 8 * 1024;  ///< the headers map of one call
inline constexpr std::size_t kRetryTypesMax = 64;         ///< exception types in one retry_on
/// Any wall clock in a message: the end of the year 9999.
inline constexpr std::int64_t kWallMsMax = 253'402'300'799'999;
/// Any time span in a message: a hundred years. Times 1,000, added to any clock, it still fits.
inline constexpr std::int64_t kDurationMsMax = 3'153'600'000'000;
inline constexpr std::size_t kShardsMax = 256;    ///< the shard is the top byte of a session id
inline constexpr std::size_t kEndpointsMax = 16;  ///< of one shard
inline constexpr std::size_t kReplicasMax = 10'000;
inline constexpr std::size_t kConcurrencyMax = 1'000'000;

// --- liveness (milliseconds) ----------------------------------------------------------------
inline constexpr std::int64_t kHeartbeatMs = 500;
/// A worker that was silent this long has lost its leases.
inline constexpr std::int64_t kLeaseMs = 2500;
/// A worker begins nothing once its own clock says that this long passed since it was last heard.
inline constexpr std::int64_t kWorkerLeaseMs = 2000;
/// A session may be away this long before it is gone.
inline constexpr std::int64_t kSessionGraceMs = 30'000;
inline constexpr std::int64_t kResultTtlMs = 3'600'000;
/// A result that the owner was told but has not taken is recorded after this long.
inline constexpr std::int64_t kSettleMs = 50;
/// An acknowledgement of a call whose result is coming, and a worker's permission to forget one,
/// ride on the next frame to the peer. When there is none for so long, or so many wait, they go.
inline constexpr std::int64_t kConfirmDelayUs = 2000;
inline constexpr std::uint64_t kAcksRidingMax = 4096;
/// The flight recorder keeps an eighth of its slots for results that are not confirmed.
inline constexpr std::size_t kForgetsRidingMax = 1024;

static_assert(kHeartbeatMs * 3 < kWorkerLeaseMs, "two lost heartbeats must not end a lease");
static_assert(kWorkerLeaseMs < kLeaseMs,
              "the worker must stop before the broker gives its calls away");

/// Epochs, timelines and commits of a store; a peer that claims to have seen more is wrong. Redis's
/// scripts count exactly up to 2^53.
inline constexpr std::uint64_t kStoreNumberMax = 1ull << 48;
/// Broker runs whose numbers the store remembers by their epochs, the latest ones.
inline constexpr std::size_t kRunsRemembered = 1000;
/// Numbers of queues and of the broker's own calls begin this much later in each timeline, so that
/// none that was given out before a store went back is given out again.
inline constexpr int kTimelineShift = 40;

// --- broker ---------------------------------------------------------------------------------
inline constexpr std::uint64_t kMaxPendingDefault = 10'000'000;
inline constexpr std::uint64_t kMaxPendingBytesDefault = 8ull << 30;
/// Results that a session has not taken; beyond it the session's submits are refused.
inline constexpr std::uint64_t kUnreleasedBytesMax = 1ull << 30;
/// Mutations waiting for the store; beyond it submits are refused with store_unavailable.
inline constexpr std::size_t kStoreBatchBytesMax = 64u << 20;
/// Pairs in one Redis command: Lua's unpack fails near 8,000 values.
inline constexpr std::size_t kStorePairsMax = 3500;
inline constexpr std::size_t kStderrTailBytes = 4096;
inline constexpr int kPoisonLimit = 3;
inline constexpr std::uint32_t kBadStartsMax = 6;  ///< in a row, of a replica that lived before
inline constexpr std::int64_t kPriorityAgeingMs = 1000;
inline constexpr std::int64_t kDedupeTtlMs = 3'600'000;
inline constexpr std::size_t kIdempotencyKeysMax = 1'000'000;  ///< of one broker
inline constexpr std::size_t kIdempotencyBytesMax = 256u * 1024 * 1024;
inline constexpr std::uint64_t kDeadMax = 10'000;
inline constexpr std::uint64_t kDeadBytesMax = 64u * 1024 * 1024;
inline constexpr std::int64_t kDeadTtlMs = 7 * 86'400'000LL;
inline constexpr std::size_t kSchedulesMax = 10'000;
inline constexpr std::size_t kScheduleBytesMax = 1u << 20;  ///< the arguments of one
inline constexpr std::uint32_t kCatchUpMax = 1000;  ///< calls that one schedule makes at once
/// A due time that a broker is so late for is not missed yet: longer than a standby needs.
inline constexpr std::int64_t kScheduleGraceMs = 10'000;
/// Told with a refusal that time may cure.
inline constexpr std::uint64_t kRetryAfterMs = 50;
/// However slowly a full queue empties.
inline constexpr std::uint64_t kRetryAfterMaxMs = 5000;
inline constexpr std::int64_t kBackoffMinMs = 100;
inline constexpr std::int64_t kBackoffMaxMs = 30'000;
inline constexpr int kTaskRetriesDefault = 3;

// --- worker ---------------------------------------------------------------------------------
/// Slots of the flight recorder: calls begun in one child and not yet confirmed by the broker.
inline constexpr std::uint32_t kRecorderSlots = 8192;
/// Calls that the broker may send ahead to one slot beyond what runs.
inline constexpr std::uint32_t kPrefetchMax = 2048;
inline constexpr std::uint32_t kPrefetchStart = 1;
inline constexpr std::uint32_t kAsyncConcurrencyDefault = 1000;
inline constexpr std::uint32_t kBatchSizeDefault = 10;
inline constexpr std::int64_t kLoopWarnMs = 100;

// --- client ---------------------------------------------------------------------------------
/// Submits sent and not yet acknowledged by one client session.
inline constexpr std::size_t kUnackedCallsMax = 65'536;
inline constexpr std::size_t kUnackedBytesMax = 256u << 20;

static_assert(kPartBytesMin <= kSharedBytesMin, "a value in shared memory is always a part");
static_assert(kPartBytesMin < kFrameBytesTarget && kFrameBytesTarget < kFrameBytesMax);
static_assert(kStorePairsMax * 2 < 8000);

}  // namespace callboard::limits
