// What can be said of a client, an actor and a call. Everything has a default; name what you
// change:
//
//   client.actor<Counter>({.name = "hits", .max_restarts = -1}, 10);
//   hits.with({.deadline = 2s, .priority = 5}).call<&Counter::add>(1);
//
// docs/options.md has the same list with reasons. An option that makes no sense is an error of the
// call or actor (invalid_option), never ignored.
#pragma once

#include <callboard/error.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace callboard {

class FutureBase;

using Milliseconds = std::chrono::milliseconds;

/// When a call counts as accepted.
enum class Durability : std::uint8_t {
  durable = 0,  ///< once it is committed in Redis
  memory = 1,   ///< once it is in the broker's memory; it is lost with the broker
};

/// What becomes of a call for which its queue has no room.
enum class WhenFull : std::uint8_t {
  reject = 0,  ///< its future fails at once with queue_full
  block = 1,   ///< `call` waits for room; inside of a method it fails with queue_full instead
};

/// How an actor runs its calls.
enum class Mode : std::uint8_t {
  automatic = 0,  ///< async when a method is a coroutine, batched when one is batched, else serial
  serial = 1,     ///< one at a time, in order
  threaded = 2,   ///< max_concurrency threads
  async = 3,      ///< coroutines on one event loop
  batched = 4,    ///< many calls at once as lists
};

/// Which calls of a queue must not overtake each other.
enum class Ordering : std::uint8_t {
  actor = 0,  ///< none overtakes another
  key = 1,    ///< those of one CallOptions::key run one after the other, different keys in parallel
  none = 2,   ///< a call whose dependencies are not ready may be overtaken
};

enum class Lifetime : std::uint8_t {
  owned = 0,     ///< it stops with the last handle of the client that made it
  detached = 1,  ///< it lives until it is killed
};

/// Which exceptions of the method itself are tried again (within max_retries).
struct RetryOn {
  bool all = false;
  std::vector<std::string> types{};  ///< remote types, e.g. "std::out_of_range"; when not all
};

/// Pause before another attempt: a random time that grows from min to max.
struct Backoff {
  Milliseconds min{100};
  Milliseconds max{30'000};
};

/// Of an actor or deployment, given when it is made.
struct ActorOptions {
  /// Under this name others find it; it is detached then. Empty: only handles lead to it.
  std::string name{};
  /// Part of the name: "namespace/name". Empty: "default".
  std::string name_space{};
  /// Take the actor of this name if there is one already (of the same class).
  bool get_if_exists = false;
  /// Default: detached with a name, owned without.
  std::optional<Lifetime> lifetime{};
  /// Of a deployment: how many actors share its calls.
  std::uint32_t replicas = 0;
  /// Calls that run at once. 0: 1 for serial, 1000 for async.
  std::uint32_t max_concurrency = 0;
  Mode mode = Mode::automatic;
  /// Bounds of what waits, for all clients together, exactly. 0: the broker's default.
  std::uint64_t max_pending = 0;
  std::uint64_t max_pending_bytes = 0;
  WhenFull when_full = WhenFull::reject;
  Ordering ordering = Ordering::actor;
  /// Concurrency groups: lanes of their own, name -> how many calls at once.
  std::map<std::string, std::uint32_t> groups{};
  /// Method -> group, beside what the class's description says.
  std::map<std::string, std::string> method_groups{};
  /// How often it is made anew when its process dies; -1: always. Its state is lost each time.
  int max_restarts = 0;
  /// Attempts of its calls beyond the first; -1: without bound. 0: at most once.
  int max_retries = 0;
  /// A worker process of its own. Only then can a running call be killed.
  bool dedicated = false;
  /// Mode batched: most calls in one batch (0: 10), and how long to wait for more.
  std::uint32_t max_batch_size = 0;
  std::chrono::microseconds batch_wait{0};
  /// Of its calls, unless they say otherwise.
  Durability durability = Durability::durable;
  /// What a worker must have for it, by name.
  std::map<std::string, double> resources{};
  std::optional<Backoff> backoff{};
  std::optional<RetryOn> retry_on{};
  /// Time for each of its calls, from submit to result.
  std::optional<Milliseconds> deadline{};
};

/// Of one call. What is not said comes from the actor, or is the default.
struct CallOptions {
  /// Time from submit to result. Inside of a method the running call's deadline is inherited, and
  /// the earlier of both counts.
  std::optional<Milliseconds> deadline{};
  /// False: the running call's deadline does not count for this one.
  bool inherit_deadline = true;
  /// -128..127, higher first.
  std::optional<std::int8_t> priority{};
  /// For Ordering::key.
  std::string key{};
  /// Text for the method: this_call().headers(). Inside of a method the running call's come along.
  std::map<std::string, std::string> headers{};
  /// It starts only when these have ended well.
  std::vector<FutureBase> after{};
  /// Attempts beyond the first; -1: without bound.
  std::optional<int> max_retries{};
  std::optional<RetryOn> retry_on{};
  std::optional<Backoff> backoff{};
  /// Calls of one key and the same arguments are one call, also if they are made again later.
  std::string idempotency_key{};
  std::optional<Durability> durability{};
  /// It does not start before this much later.
  std::optional<Milliseconds> delay{};
  /// It does not start before this time of the broker's clock. Not together with `delay`.
  std::optional<std::chrono::system_clock::time_point> at{};
  /// Concurrency group, instead of the method's own.
  std::string group{};
  std::optional<WhenFull> when_full{};
  /// WhenFull::block: how long `call` may wait for room. Then its future fails with queue_full.
  /// Nothing said: as ClientOptions has it.
  std::optional<Milliseconds> block_timeout{};
};

/// What becomes of the times at which a schedule was due and no broker was there.
enum class CatchUp : std::uint8_t {
  skip = 0,  ///< nothing, unless it was a few seconds ago
  one = 1,   ///< one call for all of them
  all = 2,   ///< a call for each of the last ScheduleOptions::catch_up_max
};

/// Of a schedule: a call that the broker makes again and again.
struct ScheduleOptions {
  /// Of the schedule, to find it again.
  std::string name{};
  /// "MINUTE HOUR DAY MONTH WEEKDAY", with SECOND in front or not; or "@hourly", "@daily", ...
  std::string cron{};
  /// The IANA name of a time zone that the broker's host knows: "Europe/Berlin".
  std::string zone{"UTC"};
  CatchUp catch_up = CatchUp::one;
  std::uint32_t catch_up_max = 100;
  /// Take the place of another schedule of this name; else that is an error (name_taken). The same
  /// schedule again is none.
  bool replace = false;
  /// Of its calls. They are durable and have no delay, dependencies or idempotency key.
  CallOptions call{};
};

/// Of a client.
struct ClientOptions {
  /// Addresses of the broker and its standbys, tried in turn: "tcp://host:port", "ipc://path".
  std::vector<std::string> endpoints{};
  /// For people who look at the broker. Empty: the program's name.
  std::string name{};
  /// How long close() waits for what was submitted to be accepted.
  Milliseconds close_timeout{1000};
  /// WhenFull::block: how long `call` may wait. Nothing said: as long as it takes.
  std::optional<Milliseconds> block_timeout{};
  /// Calls, and bytes of them, that may wait here for the broker to accept them; beyond it `call`
  /// waits, and inside of a method fails with queue_full.
  std::uint64_t max_unaccepted_calls = 1'000'000;
  std::uint64_t max_unaccepted_bytes = 1ull << 30;
  /// Gets a line when the connection is lost or refused: level 1 is a warning, 2 an error. Runs in
  /// the client's own thread, or in one that waits for a result, and must not block.
  std::function<void(int level, const std::string& text)> log{};
};

}  // namespace callboard
