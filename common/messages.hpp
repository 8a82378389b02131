// The messages of the protocol (docs/protocol.md has the same list in words).
//
// One struct a message, with write() and read(). A struct that was read borrows from the frame.
// read() is called after FrameReader::message() gave the type and the number of fields; it skips
// fields that it does not know, so a newer peer may add some at the end.
#pragma once

#include "common/frame.hpp"
#include "common/options.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::wire {

/// Message types. 1-31 connection, 32-47 client to broker, 48-63 broker to client,
/// 64-79 broker to worker, 80-95 worker to broker. Never renumbered.
enum class Type : std::uint8_t {
  hello = 1,
  welcome = 2,
  goodbye = 3,
  who = 4,
  ping = 5,
  pong = 6,
  memory = 7,
  open = 32,
  methods = 33,
  close = 34,
  create = 35,
  submit = 36,
  taken = 37,
  cancel = 38,
  resume = 39,
  kill = 40,
  waiting = 41,
  admin = 42,
  opened = 48,
  accepted = 49,
  refused = 50,
  result = 51,
  cancel_answer = 52,
  parked = 53,
  room = 54,
  admin_answer = 55,
  start = 64,
  stop = 65,
  method_table = 66,
  run = 67,
  forget = 68,
  revoke = 69,
  go_on = 70,
  started = 80,
  done = 81,
  window = 82,
  returned = 83,
  revoke_answer = 84,
  status = 86,
  child_died = 87,
  stopped = 88,
};

/// Feature bits of hello and welcome.
inline constexpr std::uint64_t kFeaturesKnown = 0;

enum class Role : std::uint8_t { client = 0, worker = 1, supervisor = 2 };

/// What a worker offers: a class.
struct ClassOffer {
  std::string name;
  Mode mode = Mode::serial;  ///< what `automatic` means for it: serial or async or batched
  std::vector<std::string> methods;
  std::vector<std::string> signatures;  ///< one a method, for people: "int(int)"
};

/// An actor that a worker holds when it says hello (again).
struct HeldActor {
  ActorId id;
  std::uint64_t incarnation = 0;
  std::uint32_t slot = 0;
};

/// A call that a worker has begun and the broker has not confirmed. Whatever a worker was sent and
/// does not list here when it says hello, it has not begun and never will at that attempt: before
/// it writes a hello it drops every call that it has not begun, for good.
struct HeldCall {
  std::uint64_t lease = 0;  ///< as RUN gave it; stays its name for DONE and FORGET, also later
  CallId call;
  std::uint32_t attempt = 0;
  ActorId actor;
  std::uint64_t incarnation = 0;
  bool ended = false;  ///< a `done` or `returned` with the same lease follows the welcome
};

/// First message of every connection, and again whenever the broker asks (`who`).
struct Hello {
  std::uint64_t version_min = limits::kProtocolVersionMin;
  std::uint64_t version_max = limits::kProtocolVersionMax;
  std::uint64_t features = 0;  ///< bits that the peer requires
  Role role = Role::client;
  std::string name;  ///< for people; of a worker: unique
  std::string host;
  std::uint64_t pid = 0;
  // session (every client and worker has one; a supervisor has none: 0)
  std::uint64_t session = 0;
  bool resume = false;              ///< the broker must know the session
  std::uint64_t acked_through = 0;  ///< refused numbers up to here may be forgotten
  std::uint64_t timeline = 0;       ///< highest (timeline, commit_no) that the peer has seen
  std::uint64_t commit_no = 0;
  std::uint64_t epoch_seen = 0;
  std::uint64_t run_seen = 0;       ///< Welcome::run of that epoch; 0: there was no welcome
  // worker
  std::uint64_t instance = 0;    ///< random number of this worker process
  std::string supervisor;        ///< name of its supervisor, empty when none
  std::uint32_t task_slots = 0;  ///< tasks that it runs at once
  std::vector<ClassOffer> classes;
  std::vector<std::string> tasks;
  std::vector<HeldActor> held_actors;
  std::vector<HeldCall> held_calls;
};

struct Shard {
  std::uint32_t index = 0;
  std::vector<std::string> endpoints;
};

struct Welcome {
  std::uint64_t version = limits::kProtocolVersionMax;
  std::uint64_t features = 0;
  std::uint64_t epoch = 0;
  std::uint64_t run = 0;  ///< random number of this broker run: epochs repeat in a restored store
  std::string broker;
  std::uint64_t timeline = 0;
  std::uint64_t commit_no = 0;
  std::int64_t heartbeat_ms = limits::kHeartbeatMs;
  std::int64_t lease_ms = limits::kWorkerLeaseMs;
  std::vector<Shard> shards;
  std::uint64_t accepted_through = 0;  ///< the client resends only what lies above ...
  std::vector<std::uint64_t> refused;  ///< ... or is named here (refused or parked, below it)
  bool provisional = false;  ///< the store is away and has no record of this new session
};

struct Goodbye {
  Errc code = Errc::ok;
  std::string text;
};

/// Of the transports, in a frame of its own: see common/shared_peer.hpp.
struct Memory {
  std::string probe;        ///< a segment of the sender's shared memory
  std::uint64_t found = 0;  ///< the number that it has read in the receiver's probe; 0: none
};

enum class TargetKind : std::uint8_t { actor = 0, name = 1, task = 2 };

/// Client: "handle h means this queue; methods are numbered as listed."
struct Open {
  std::uint32_t handle = 0;
  TargetKind kind = TargetKind::name;
  ActorId actor;     ///< kind actor
  std::string name;  ///< kind name: "name" or "namespace/name"; kind task: the function
  std::vector<std::string> methods;
};
struct Methods {
  std::uint32_t handle = 0;
  std::vector<std::string> names;
};  ///< appends
struct Close {
  std::uint32_t handle = 0;
};

/// Client: creates an actor or deployment and opens `handle` for it.
struct Create {
  std::uint64_t seq = 0;
  std::uint32_t handle = 0;
  std::string_view class_name;
  Body args;
  ActorOptions options;
  std::vector<std::string> methods;
};

/// Client: one call. The hot path: `options` stays encoded until someone asks.
struct Submit {
  std::uint64_t seq = 0;
  std::uint32_t handle = 0;
  std::uint32_t method = 0;  ///< index into the handle's method list; 0 for a task
  Body args;                 ///< encoded array of the arguments; see CallOptions::refs
  std::string_view options;  ///< encoded map, or empty (nil on the wire)
};

/// Ranges [first, first + count).
using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
/// Names the numbers, which may come in any order and more than once, as few ranges. May sort them.
Ranges ranges_of(std::vector<std::uint64_t>& numbers);

struct Taken {
  Ranges seqs;
};
struct Cancel {
  CallId call;
  bool force = false;
};
struct Resume {
  std::uint32_t handle = 0;
  /// Of the refusals on this handle, the first one that its user has seen since the last `resume`;
  /// 0 when this only gives back room.
  std::uint64_t seen = UINT64_MAX;
};  ///< the client has seen the refusal on this queue
struct Kill {
  std::uint64_t request = 0;
  std::uint32_t handle = 0;
  bool restart = false;
};
/// A blocking wait inside `self` for `other` begins or ends.
struct Waiting {
  CallId self;
  CallId other;
  bool begins = true;
};
struct Admin {
  std::uint64_t request = 0;
  std::string_view verb;
  std::string_view info;
};

struct Opened {
  std::uint32_t handle = 0;
  Errc code = Errc::ok;
  std::string text;
  ActorId actor;
  std::string queue;
  std::string class_name;
  Durability durability = Durability::durable;  ///< what a call of it is that does not say
  WhenFull when_full = WhenFull::reject;        ///< the same
  bool retried = false;  ///< the same: whether it is tried again (at least once)
};
/// All numbers up to `through` but those refused or parked before; and of those parked `again`,
/// which were offered again and have been accepted since the last acknowledgement.
struct Accepted {
  std::uint64_t through = 0;
  Ranges again;
  std::uint64_t commit_no = 0;  ///< of the store, for the receiver's next hello
};
struct Refused {
  std::uint64_t seq = 0;
  Errc code = Errc::ok;
  std::string_view text;
  std::uint64_t retry_after_ms = 0;
  /// The queue holds max_pending calls, so all are refused that do not wait; after retry_after_ms
  /// so many are likely to find room. 0: it says nothing of other calls.
  std::uint64_t room = 0;
};
/// To the owner. status ok: value is the encoded result; else an encoded ErrorInfo.
struct CallResult {
  std::uint64_t seq = 0;
  Errc status = Errc::ok;
  Body value;
};

enum class CancelAnswer : std::uint8_t {
  cancelled_before_start = 0,
  cancelled_between_attempts = 1,
  stopping = 2,
  too_late = 3,
  killed = 4,
  unknown = 5,
  needs_consent = 6,
};
std::string_view name_of(CancelAnswer answer);
struct CancelAnswered {
  CallId call;
  CancelAnswer answer = CancelAnswer::unknown;
};
/// Submits to this handle from `seq` on were not accepted; resend them when there is room.
struct Parked {
  std::uint32_t handle = 0;
  std::uint64_t seq = 0;
};
struct Room {
  std::uint32_t handle = 0;
  std::uint64_t calls = 0;
};
struct AdminAnswer {
  std::uint64_t request = 0;
  Errc code = Errc::ok;
  std::string_view info;  ///< encoded value; on error an encoded str
};

/// Broker: begin an incarnation in `slot`. Slot 0 is the worker's tasks and is never started.
struct Start {
  std::uint32_t slot = 0;
  ActorId actor;
  std::uint64_t incarnation = 0;
  std::string_view class_name;
  std::string_view name;  ///< queue name, for people
  Body args;
  ActorOptions options;
};
struct Stop {
  std::uint32_t slot = 0;
  bool now = false;
};
struct MethodTable {
  std::uint32_t slot = 0;
  std::vector<std::string> names;
};  ///< appends
/// Broker: run this. Same order of fields as Submit after the first three.
struct Run {
  std::uint64_t lease = 0;
  std::uint32_t slot = 0;
  std::uint32_t method = 0;
  CallId call;
  std::uint32_t attempt = 0;     ///< from 1
  std::int64_t deadline_ms = 0;  ///< remaining budget; 0 none
  Body args;                     ///< refs already spliced in
  std::string_view options;      ///< the encoded options of the submit, or empty
};
struct Forget {
  Ranges leases;
};
struct Revoke {
  std::uint64_t lease = 0;
  bool running_too = false;
  Errc why = Errc::cancelled;  ///< what the call ends as when it has not begun
};
/// After an error that is retried in a serial lane: may the slot begin what was sent ahead?
struct GoOn {
  std::uint32_t slot = 0;
  bool hand_back = false;
};

/// `error` is an encoded ErrorInfo (empty when code is ok); on the wire a bin.
struct Started {
  std::uint32_t slot = 0;
  Errc code = Errc::ok;
  std::string_view error;
};
struct Done {
  std::uint64_t lease = 0;
  Errc status = Errc::ok;
  Body value;         ///< encoded result, or encoded ErrorInfo
  bool held = false;  ///< the slot begins nothing more until go_on
};
/// Calls that the broker may have out at this slot and concurrency group (0: the default group).
struct Window {
  std::uint32_t slot = 0;
  std::uint32_t group = 0;
  std::uint32_t calls = 0;
};
struct Returned {
  std::uint64_t lease = 0;
  Errc why = Errc::ok;  ///< of a REVOKE: as it said, and the worker keeps it until FORGET
};  ///< not begun, and never will be at this attempt
struct RevokeAnswer {
  std::uint64_t lease = 0;
  CancelAnswer answer = CancelAnswer::stopping;
};
struct Status {
  std::string_view info;
};  ///< encoded map, see docs/protocol.md
struct ChildDied {
  std::string worker;
  std::uint64_t instance = 0;
  std::uint64_t pid = 0;
  std::int32_t signal = 0;
  std::int32_t exit_status = 0;
  std::string stderr_tail;
  std::vector<HeldCall> begun;
  CallId blamed;  ///< what the crash handler named; none when unknown
};
struct Stopped {
  std::uint32_t slot = 0;
};

// --- writing ---------------------------------------------------------------------------------
void write(FrameWriter& out, const Hello& m);
void write(FrameWriter& out, const Welcome& m);
void write(FrameWriter& out, const Goodbye& m);
void write_who(FrameWriter& out);
void write_ping(FrameWriter& out, std::uint64_t number);
void write_pong(FrameWriter& out, std::uint64_t number, std::uint64_t commit_no = 0);
void write(FrameWriter& out, const Memory& m);
void write(FrameWriter& out, const Open& m);
void write(FrameWriter& out, const Methods& m);
void write(FrameWriter& out, const Close& m);
void write(FrameWriter& out, const Create& m);
void write(FrameWriter& out, const Submit& m);
void write(FrameWriter& out, const Taken& m);
void write(FrameWriter& out, const Cancel& m);
void write(FrameWriter& out, const Resume& m);
void write(FrameWriter& out, const Kill& m);
void write(FrameWriter& out, const Waiting& m);
void write(FrameWriter& out, const Admin& m);
void write(FrameWriter& out, const Opened& m);
void write(FrameWriter& out, const Accepted& m);
void write(FrameWriter& out, const Refused& m);
void write(FrameWriter& out, const CallResult& m);
void write(FrameWriter& out, const CancelAnswered& m);
void write(FrameWriter& out, const Parked& m);
void write(FrameWriter& out, const Room& m);
void write(FrameWriter& out, const AdminAnswer& m);
void write(FrameWriter& out, const Start& m);
void write(FrameWriter& out, const Stop& m);
void write(FrameWriter& out, const MethodTable& m);
void write(FrameWriter& out, const Run& m);
void write(FrameWriter& out, const Forget& m);
void write(FrameWriter& out, const Revoke& m);
void write(FrameWriter& out, const GoOn& m);
void write(FrameWriter& out, const Started& m);
void write(FrameWriter& out, const Done& m);
void write(FrameWriter& out, const Window& m);
void write(FrameWriter& out, const Returned& m);
void write(FrameWriter& out, const RevokeAnswer& m);
void write(FrameWriter& out, const Status& m);
void write(FrameWriter& out, const ChildDied& m);
void write(FrameWriter& out, const Stopped& m);

/// Those that a broker writes for every call, at a place that has room for kPutNumbersBytes and the
/// bytes of the value and of the options. The value does not become a part, however long it is.
/// Says where the message ends.
inline constexpr std::size_t kPutNumbersBytes = 128;
char* put(char* at, const Run& m);
char* put(char* at, const CallResult& m);

// --- reading: `fields` as FrameReader::message() gave it ---------------------------------------
bool read(FrameReader& in, std::uint32_t fields, Hello& m);
bool read(FrameReader& in, std::uint32_t fields, Welcome& m);
bool read(FrameReader& in, std::uint32_t fields, Goodbye& m);
bool read_number(FrameReader& in, std::uint32_t fields, std::uint64_t& number);  ///< ping, pong
bool read_pong(FrameReader& in, std::uint32_t fields, std::uint64_t& number,
               std::uint64_t& commit_no);
bool read(FrameReader& in, std::uint32_t fields, Memory& m);
bool read(FrameReader& in, std::uint32_t fields, Open& m);
bool read(FrameReader& in, std::uint32_t fields, Methods& m);
bool read(FrameReader& in, std::uint32_t fields, Close& m);
/// `problem` is set when the message is well-formed but an option is not.
bool read(FrameReader& in, std::uint32_t fields, Create& m, std::string& problem);
bool read(FrameReader& in, std::uint32_t fields, Submit& m);
bool read(FrameReader& in, std::uint32_t fields, Taken& m);
bool read(FrameReader& in, std::uint32_t fields, Cancel& m);
bool read(FrameReader& in, std::uint32_t fields, Resume& m);
bool read(FrameReader& in, std::uint32_t fields, Kill& m);
bool read(FrameReader& in, std::uint32_t fields, Waiting& m);
bool read(FrameReader& in, std::uint32_t fields, Admin& m);
bool read(FrameReader& in, std::uint32_t fields, Opened& m);
bool read(FrameReader& in, std::uint32_t fields, Accepted& m);
bool read(FrameReader& in, std::uint32_t fields, Refused& m);
bool read(FrameReader& in, std::uint32_t fields, CallResult& m);
bool read(FrameReader& in, std::uint32_t fields, CancelAnswered& m);
bool read(FrameReader& in, std::uint32_t fields, Parked& m);
bool read(FrameReader& in, std::uint32_t fields, Room& m);
bool read(FrameReader& in, std::uint32_t fields, AdminAnswer& m);
bool read(FrameReader& in, std::uint32_t fields, Start& m, std::string& problem);
bool read(FrameReader& in, std::uint32_t fields, Stop& m);
bool read(FrameReader& in, std::uint32_t fields, MethodTable& m);
bool read(FrameReader& in, std::uint32_t fields, Run& m);
bool read(FrameReader& in, std::uint32_t fields, Forget& m);
bool read(FrameReader& in, std::uint32_t fields, Revoke& m);
bool read(FrameReader& in, std::uint32_t fields, GoOn& m);
bool read(FrameReader& in, std::uint32_t fields, Started& m);
bool read(FrameReader& in, std::uint32_t fields, Done& m);
bool read(FrameReader& in, std::uint32_t fields, Window& m);
bool read(FrameReader& in, std::uint32_t fields, Returned& m);
bool read(FrameReader& in, std::uint32_t fields, RevokeAnswer& m);
bool read(FrameReader& in, std::uint32_t fields, Status& m);
bool read(FrameReader& in, std::uint32_t fields, ChildDied& m);
bool read(FrameReader& in, std::uint32_t fields, Stopped& m);

/// ErrorInfo as a value: a map with the keys "code", "type", "message", "place", "causes".
std::string encode(const ErrorInfo& error);
/// Reads it back; anything unreadable gives `fallback` with a message that says so.
ErrorInfo decode_error(std::string_view bytes, Errc fallback);

}  // namespace callboard::wire
