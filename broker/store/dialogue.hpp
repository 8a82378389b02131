// All that a broker and Redis say to each other, through one connection after another.
//
//   resting ──> connecting ──> greeting ──> [standing by] ──> fencing ──> loading ──> ready
//      ^            │             │               │              │ (first run     │        │
//      └────────────┴─────────────┴───────────────┴──────────────┴─ only) ────────┴────────┘
//                        any trouble: rest a little
//
//   standing by  of a broker that shares its shard (StoreOptions::standby): wait until whoever owns
//             it has left, or has given no sign of life for `takeover_ms` in which Redis answered
//   greeting  log in, look at the server (refusal(), durability()), load the commit script
//   fencing   replace the fence; only then is anything read
//   loading   hand every field of the store to the StoreReader
//   A store that went back in time, as this broker or a peer of it knows, is read anew: as the next
//   run of the broker, in a new timeline (StoreNews::begins_again, begin_timeline()).
//
//   ready     at most one commit in flight; the fence and the memory limit are looked at regularly
//
// Redis being away is never an error: the dialogue rests and tries again for ever, and says so once
// per change and every ten seconds. A reply that does not come in time makes a new connection,
// never a failed commit. Only a server that must not be used, and a shard that belongs to somebody
// else, end it (StoreNews::fatal).
//
// No I/O: bytes come in by received(), go out through output(), and time is told. The owner of the
// socket opens it when wants_connection() says so, and closes it when has_connection() turns false.
// Thread safety: none.
#pragma once

#include "broker/core/event.hpp"
#include "broker/store/commit_writer.hpp"
#include "broker/store/fence.hpp"
#include "broker/store/loader.hpp"
#include "broker/store/pipeline.hpp"
#include "broker/store/redis_url.hpp"
#include "broker/store/resp.hpp"
#include "broker/store/server_facts.hpp"
#include "common/time.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::broker {

/// A broker that shares its shard stops when Redis has not confirmed it for this long, and those
/// who stand by take over after the longer time.
inline constexpr std::int64_t kBrokerLeaseMs = 1500;
inline constexpr std::int64_t kTakeoverMs = 2000;
static_assert(kBrokerLeaseMs < kTakeoverMs, "two brokers must not serve one shard");

struct StoreOptions {
  RedisUrl url;
  std::uint32_t shard = 0;
  std::string broker_name = "broker";
  std::int64_t connect_ms_max = 2000;
  /// A reply that takes longer makes the connection worthless. Redis may stall for seconds when it
  /// forks or its disk is slow, and a new connection would not be answered sooner.
  std::int64_t reply_ms_max = 5000;
  std::int64_t probe_ms = 500;        ///< how often the fence and the memory are looked at
  /// Others may take the shard over, and have to be waited for: this broker stands by at first, and
  /// once it serves it gives a sign of life with every probe and must be confirmed().
  bool standby = false;
  /// A server whose policy is weaker is not used, and with `always` a store that went back ends it.
  RequireFsync require_fsync = RequireFsync::none;
  std::int64_t standby_poll_ms = 100;
  std::int64_t takeover_ms = kTakeoverMs;
  std::int64_t lease_ms = kBrokerLeaseMs;  ///< how long a confirmation holds
  std::int64_t backoff_ms_min = 20;
  std::int64_t backoff_ms_max = 500;
};

/// What a broker learns of the store before it reads it.
struct StoreState {
  std::uint64_t epoch = 0;      ///< of this run
  std::uint64_t timeline = 0;
  std::uint64_t commit_no = 0;  ///< the last commit
  ServerFacts facts;
  std::string went_back;         ///< not empty: a timeline begins, and why
  std::uint64_t times_back = 0;  ///< how often one began
};

/// Takes the contents of the store at start-up. A connection that breaks while the store is read
/// makes it begin anew, with load_begins().
class StoreReader {
 public:
  virtual ~StoreReader() = default;
  virtual void load_begins(const StoreState& state) = 0;
  /// A non-empty answer says why the entry cannot be read; the broker must stop then.
  virtual std::string load(const StoreEntry& entry) = 0;
  virtual void load_ended() = 0;
};

/// What happened; the caller takes it and clears it.
struct StoreNews {
  /// Committed, CallsRead, StoreDown, StoreUp, StoreFull, StoreFacts; none
  /// before load_ended().
  std::vector<Event> events;
  std::vector<std::pair<int, std::string>> log;  ///< level as in Effects, text
  std::string fatal;          ///< one sentence: why the broker must stop
  /// The store went back: what was loaded counts no more, load_begins() follows.
  bool begins_again = false;
};

class StoreDialogue {
 public:
  /// `run_token` is random, of 16 bytes or more, never used by another run.
  StoreDialogue(StoreOptions options, std::string run_token, StoreReader& reader);

  // --- the connection, as the owner of the socket sees it ---------------------------------------
  bool wants_connection(Instant now) const;
  /// REQUIRES: resting()
  void connecting(Instant now);
  bool resting() const { return phase_ == Phase::resting; }
  void connected(Instant now);
  void received(Instant now, std::string_view bytes);
  /// Bytes left; waiting for a reply goes on.
  void sent(Instant now) { progress_us_ = now.mono_us; }
  /// The connection could not be made, or is gone.
  void failed(Instant now, std::string_view why);
  /// False: the connection, if there is one, is to be closed.
  bool has_connection() const { return phase_ > Phase::resting; }
  OutBuffer& output() { return output_; }
  bool has_output() const { return !output_.empty(); }

  // --- commits ----------------------------------------------------------------------------------
  /// A batch may be written: the store was loaded, is there, and no commit is in flight.
  bool idle() const;
  /// The batch must stay unchanged until Committed. REQUIRES: idle()
  void commit(Instant now, const StoreBatch& batch, std::uint64_t commit_no);

  // --- reading ----------------------------------------------------------------------------------
  /// CallsRead follows, once, also when the connection breaks meanwhile. REQUIRES: load_ended() was
  /// called, and what is asked for was committed
  void read(Instant now, StoreRead read);

  // --- time -------------------------------------------------------------------------------------
  void tick(Instant now);
  std::int64_t next_deadline_us() const;  ///< of the steady clock; kNever when there is none

  // --- other brokers of the shard ---------------------------------------------------------------
  bool standing_by() const { return phase_ == Phase::standing_by; }
  /// The shard is known to be ours still: Redis said so of a question that was asked less than
  /// `lease_ms` ago. Always, when the shard is not shared.
  bool confirmed(Instant now) const;
  /// Tells those who stand by that they need not wait. Once another one has taken over, that is a
  /// fatal news. REQUIRES: idle()
  void leave(Instant now);

  StoreNews& news() { return news_; }
  /// Somebody has seen more than the store holds. If the shard is still ours the store went back
  /// in time; this run ends and the next one begins. REQUIRES: load_ended() was called
  void begin_timeline(Instant now, const Witness& seen);
  const StoreState& state() const { return state_; }

 private:
  enum class Phase : std::uint8_t {
    ended, resting, connecting, greeting, standing_by, fencing, loading, ready,
  };
  enum class Asked : std::uint8_t {
    login, name, info, config, script, watch, fence, scan, commit, read, probe_fence,
    probe_memory, probe_config, leave, probe_exec, multi, queued, exec, guard, guard_fence,
    guard_commit,
  };
  /// Whether commits may be transactions: whoever changes the fence makes the next one do nothing.
  enum class Guard : std::uint8_t {
    none,   ///< the fence is not watched, or it was not ours
    asked,  ///< what is watched is not known yet
    set,    ///< it is watched, and it is ours
    off,    ///< this connection takes no transactions
  };

  void ask(Asked what) { asked_.push_back(what); }
  void on_reply(Instant now, Asked what, const Reply& reply);
  void on_greeting(Instant now, Asked what, const Reply& reply);
  void check_server(Instant now);
  void stand_by(Instant now);
  void watch_owner(Instant now);
  void on_watch(Instant now, const Reply& reply);
  void take_fence(Instant now);
  void on_fence(Instant now, const Reply& reply);
  void on_scan(Instant now, const Reply& reply);
  void go_on_loading(Instant now);
  void become_ready(Instant now);
  void write_commit(Instant now);
  void write_transaction();
  void set_guard();
  void watch_fence();
  void on_transaction(Instant now, Asked what, const Reply& reply);
  void skip_queued(std::string_view& bytes);
  void on_exec(Instant now, const Reply& reply);
  void on_guard(Asked what, const Reply& reply);
  void on_commit(Instant now, const Reply& reply);
  void ask_read(const StoreRead& read);
  void on_read(Instant now, const Reply& reply);
  void on_refused_commit(Instant now, const std::string& text);
  void committed();
  void probe(Instant now);
  void on_probe(Instant now, Asked what, const Reply& reply);
  void watch_memory();
  void resolve(Instant now, std::uint64_t store_commit_no);
  void read_policy(Instant now, const Reply& reply);
  void went_back(Instant now, const std::string& text);
  void renew_run(Instant now, const std::string& text, const Witness& seen);
  std::string unfit() const;
  void hang_up();
  /// A large store takes longer to read than others wait for a sign of life.
  bool beats() const {
    return phase_ == Phase::ready || (phase_ == Phase::loading && options_.standby);
  }
  void rest(Instant now, std::string text);
  void end(std::string text);
  void say_away(Instant now, const std::string& text);
  void say_ready(Instant now);
  void say(int level, std::string text) { news_.log.emplace_back(level, std::move(text)); }

  StoreOptions options_;
  std::string prefix_;
  StoreReader& reader_;
  ScriptCommitWriter writer_;
  Transaction transaction_;
  CommitPipeline pipeline_;
  Fence fence_;
  StoreState state_;
  StoreNews news_;

  // of one connection
  Phase phase_ = Phase::resting;
  OutBuffer output_;
  ReplyReader replies_;
  std::deque<Asked> asked_;         ///< oldest first
  std::string script_sha_;
  ServerFacts facts_;
  std::int64_t progress_us_ = 0;    ///< when bytes last moved, or something was asked
  std::int64_t next_probe_us_ = 0;
  std::int64_t next_memory_us_ = 0;
  std::int64_t probe_asked_us_ = 0;
  std::int64_t commit_asked_us_ = 0;
  std::int64_t next_watch_us_ = 0;
  std::int64_t watched_us_ = 0;     ///< when the owner was looked at last; 0: not yet
  std::int64_t quiet_us_ = 0;       ///< for how long the owner has given no sign of life
  std::string fence_seen_;          ///< while standing by; only what it holds still is replaced
  std::string seen_;                ///< the owner's last sign of life
  bool probing_ = false;            ///< the fence was asked for
  bool script_was_gone_ = false;    ///< NOSCRIPT came for the commit in flight
  Guard guard_ = Guard::none;

  // of all connections
  std::optional<StoreLoader> loader_;
  std::deque<StoreRead> reads_;     ///< not answered yet, oldest first
  bool loaded_ = false;
  std::optional<Witness> witness_;  ///< of a store that went back, until that is on record
  std::int64_t confirmed_us_ = 0;   ///< the shard was ours when this was
  MemoryWatch memory_;
  std::int64_t next_try_us_ = 0;
  std::int64_t backoff_ms_ = 0;
  std::int64_t scripts_until_us_ = 0;  ///< a transaction was refused: none is tried until then
  int refusals_ = 0;                ///< of one commit in a row, for no passing reason
  bool down_ = false;               ///< StoreDown was told
  std::string away_text_;           ///< why Redis is away; empty when it is there
  std::int64_t away_since_us_ = 0;
  std::int64_t said_us_ = 0;
};

}  // namespace callboard::broker
