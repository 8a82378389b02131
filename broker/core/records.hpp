// The form of what is stored: MessagePack arrays that begin with a version, and plain texts.
// docs/decisions and the operations guide describe the keys; this is the one place that writes
// them.
#pragma once

#include "broker/core/core.hpp"

#include <string>
#include <string_view>

namespace callboard::broker {

inline constexpr std::uint64_t kRecordVersion = 1;

/// The number that the name of a field or a value is; 0 when it is none.
std::uint64_t number_of(std::string_view text, int base = 10);

/// q:NAME:calls, field number.
/// [1, session, seq, method, deadline_wall_ms, options (map or nil), args (bin)]
/// At a place with room for call_record_room(); its end.
char* write_call_record(const Call& call, char* at);
std::size_t call_record_room(const Call& call);
struct CallRecord {
  CallId id;
  std::string_view method;
  std::int64_t deadline_wall_ms = 0;
  std::string_view options;  ///< empty: none
  std::string_view args;
};
bool read_call_record(std::string_view bytes, CallRecord& record);
/// q:NAME:sent, field number. [1, out, attempts, crashes, errors, redeliveries, worker]
/// "out" overrides the lane's watermark either way. worker: the number of the process that a task
/// was sent to. An actor says where its calls are: their records have none, nor those of before.
std::string sent_record(const Call& call, bool out, std::uint64_t worker);
struct SentRecord {
  bool out = false;
  std::uint16_t attempts = 0;
  std::uint16_t crashes = 0;
  std::uint16_t errors = 0;
  std::uint16_t redeliveries = 0;
  std::uint64_t worker = 0;  ///< 0: nobody knows
};
bool read_sent_record(std::string_view bytes, SentRecord& record);
/// q:NAME:delayed, field call id. [1, due_wall_ms, call record (bin)]
std::string delayed_record(const Call& call);
/// q:NAME:dead, field call id. [1, number, method, options (map or nil), args (bin), code, message,
/// attempts, crashes, errors, redeliveries, died_wall_ms, worker, signal, exit_status, stderr]
std::string dead_record(const DeadCall& dead);
bool read_dead_record(std::string_view record, DeadCall& dead);
/// dedupe:BUCKET, field "QUEUE\nKEY". [1, session, seq, digest (bin), status, value (bin), bucket]
std::string keyed_record(const KeyedCalls& keyed);
bool read_keyed_record(std::string_view record, KeyedCalls& keyed);
/// results:SESSION, field seq. [1, status, taken, queue name, value (bin)]
std::string result_record(const Call& call);
/// sessions, field id in hex. [1, accepted_through, name, gone_wall_ms, [[seq, parked], ...]]
std::string session_record(const Session& session);
/// actors, field id in hex.
/// [1, queue, kind, class, args (bin), options, owner, [[replica, incarnation,
/// restarts, placed], ...]]
std::string actor_record(const Queue& queue);

/// Field of q:NAME that holds a lane's watermark: "sent.GROUP.PRIORITY".
std::string watermark_field(const Lane& lane);
std::string_view name_of(QueueKind kind);

}  // namespace callboard::broker
