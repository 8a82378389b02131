// What a Client is made of: the way from any thread into the session and back to the futures.
//
// Threads: API functions are called by any thread and only append to buffers under a short lock;
// the connection's thread takes what gathered once a turn, steps the session, and answers futures,
// all of one turn before it wakes anyone. Sink and LinkMember functions run in that thread only, or
// in one that stands in for it: a thread that makes one call at a time and waits for each takes the
// turns itself (Connection::try_turn(), drive()).
//
// Life: the connection's thread refers to the core, so the core keeps itself alive until close(),
// which ends the session and (where the core made the connection) joins the thread. After close()
// everything fails with `disconnected` and nothing refers to the connection any more.
#pragma once

#include "client/callbacks.hpp"
#include "client/connection.hpp"
#include "client/core/lending.hpp"
#include "client/core/session.hpp"
#include "client/future_state.hpp"
#include "client/prepared_options.hpp"
#include "client/queue.hpp"
#include "common/short_lock.hpp"

#include <callboard/actor.hpp>
#include <callboard/options.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::client {

class Core final : public wire::LinkMember,
                   public std::enable_shared_from_this<Core>,
                   private SessionSink {
 public:
  /// Connects in the background. Throws Error (invalid_option) for bad addresses.
  static std::shared_ptr<Core> connect(ClientOptions options);
  /// Over a connection that has not started; it must live until close().
  static std::shared_ptr<Core> attach(Connection& connection, ClientOptions options);
  ~Core() override = default;

  // --- calls (submit.cpp) -----------------------------------------------------------------------
  /// `args` is an encoded list; a big one is moved from. Null when no result is wanted.
  StatePtr submit(Queue& queue, std::uint32_t method, const PreparedOptions* options,
                  std::string& args, bool result);
  StatePtr submit(Queue& queue, std::uint32_t method, const PreparedOptions* options,
                  std::vector<callboard::detail::Piece> args, bool result);
  StatePtr submit(Queue& queue, std::uint32_t method, const PreparedOptions* options,
                  const callboard::detail::LentList& args, bool result);

  // --- queues and requests (requests.cpp) -------------------------------------------------------
  QueuePtr create(std::string_view class_name, const ActorOptions& options, std::string args,
                  std::vector<std::string> methods);
  QueuePtr open(Target target, std::string_view class_name, std::vector<std::string> methods);
  /// The queue of a task function; one for all who ask.
  QueuePtr task(std::string_view name);
  /// A handle that came with a value; one for all that name the same actor.
  QueuePtr adopt(ActorId id, std::string_view name, std::string_view class_name,
                 std::vector<std::string> methods);
  void add_method(Queue& queue, std::string name);
  void close_queue(std::uint32_t slot);
  StatePtr cancel(CallId call, bool force);
  StatePtr kill(Queue& queue, bool restart);
  StatePtr admin(std::string_view verb, std::string info);
  void announce_wait(CallId self, CallId other, bool begins);
  /// Somebody waits: calls that gather leave now.
  void hurry();
  /// The calling thread begins to wait for `state`: it takes the connection's turns until that is
  /// ready or the time has come, where they are left to it. May return early, and at once.
  /// wait_ends() follows.
  void wait(FutureState& state, std::int64_t until_us);
  void wait_ends();

  // --- state ------------------------------------------------------------------------------------
  bool connected() const;
  bool wait_connected(std::int64_t until_us) const;
  std::optional<ErrorInfo> error() const;
  std::uint64_t unanswered() const { return unanswered_.load(std::memory_order_relaxed); }
  void close();
  bool in_own_thread() const {
    if (own_connection_) return own_connection_->in_own_thread();
    return in_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  Callbacks& callbacks() { return callbacks_; }

  // --- wire::LinkMember -------------------------------------------------------------------------
  void fill_hello(wire::Hello& hello) override;
  void on_welcome(Instant now, const wire::Welcome& welcome, bool new_epoch,
                  wire::LinkOut& out) override;
  bool on_message(Instant now, std::uint64_t type, std::uint32_t fields, wire::FrameReader& in,
                  wire::LinkOut& out) override;
  void on_tick(Instant now, bool ready, wire::LinkOut& out) override;
  std::int64_t next_deadline_us() const override {
    return std::min(session_.next_deadline_us(), gather_due_us_);
  }
  void on_disconnected(Instant now) override { session_.on_disconnected(now); }
  void on_session_unknown(Instant now, bool lost) override {
    session_.on_session_unknown(now, lost);
  }
  void on_ended(Instant now, const wire::Goodbye& why) override;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  /// Something submitted or asked for, until the connection's thread takes it.
  struct Entry {
    FutureState* state = nullptr;
    std::uint32_t slot = 0;
    std::uint32_t method = 0;
    std::uint32_t at = 0;  ///< of the arguments in `bytes`, then the options
    std::uint32_t args_bytes = 0;
    std::uint32_t options_bytes = 0;
    std::uint32_t extra = kNone;    ///< in `extras`
    std::uint32_t command = kNone;  ///< in `commands`: not a call
    std::uint8_t flags = 0;
  };
  using Command = std::function<void(Instant now)>;
  struct Gathered {
    std::vector<Entry> entries;
    std::string bytes;
    std::vector<std::unique_ptr<CallExtra>> extras;
    std::vector<Command> commands;
    bool urgent = false;  ///< somebody waits for what is here, or it is big

    void clear();
  };
  /// The connection's thread's view of a queue.
  struct Slot {
    std::uint32_t handle = kNone;
    std::weak_ptr<Queue> queue;
  };
  /// What a call needs beside its arguments, put together before the lock.
  struct Outgoing {
    std::string_view options;
    std::unique_ptr<CallExtra> extra;
    std::uint8_t flags = 0;
    std::int64_t deadline_us = kNever;
    std::int64_t block_until_us = kNever;
    bool may_block = true;
    bool waits_when_full = true;
  };

  Core(ClientOptions options, Connection* connection);
  static SessionOptions session_options(const ClientOptions& options);
  void start();

  // submit.cpp
  Outgoing outgoing(const PreparedOptions* options, bool result) const;
  static CallExtra& extra_of(Outgoing& call, const PreparedOptions* options, bool result);
  static std::string_view constant_options(const PreparedOptions* options, bool result);
  void add_running_call(Outgoing& call, const PreparedOptions* options, bool result) const;
  bool submit_plain(Queue& queue, std::uint32_t method, std::string_view args,
                    FutureState* state);
  StatePtr enqueue(Queue& queue, std::uint32_t method, Outgoing call, std::string& args,
                   bool result);
  Entry& gather(const Queue& queue, std::uint32_t method, FutureState* state,
                std::string_view args, std::string_view options, std::uint8_t flags);
  static StatePtr new_state();
  StatePtr too_large();
  SharedReference& reference();
  bool is_full(const Queue& queue, std::uint64_t bytes) const;
  Errc wait_for_room(std::unique_lock<ShortLock>& lock, const Queue& queue, const Outgoing& call,
                     std::uint64_t bytes);
  StatePtr refuse_full(Queue& queue, const Outgoing& call);
  /// Null when all is well; else a future that says what is not.
  StatePtr add_dependencies(Outgoing& call, const PreparedOptions* options,
                            std::vector<callboard::detail::Piece>& args);
  void refuse_here(FutureState& state, Errc problem) const;

  // requests.cpp
  QueuePtr make_queue(std::string_view class_name, std::string_view name,
                      const std::vector<std::string>& methods, bool id_comes);
  /// Runs it in the connection's thread, in its place among the calls. False when that has ended.
  bool command(Command command);
  void fail_open(Queue& queue) const;
  StatePtr request(std::function<void(Token)> ask);

  // client_core.cpp, in the connection's thread
  void drain(Instant now);
  bool should_gather(Instant now) const;
  void swap_gathered();
  void take(Instant now, Gathered& gathered);
  void expect_behind(const Entry* entry, const Entry* end) const;
  void tell_refusals(Instant now);
  void finish(Token token, Errc status, const wire::Body& value);
  void wake_sleepers();
  void lend_turns(Instant now);
  void send_soon();
  void leave_turns();
  bool make_urgent();
  void bind(std::uint32_t slot, std::uint32_t handle, const std::weak_ptr<Queue>& queue);
  QueuePtr queue_of(std::uint32_t handle) const;
  void answer_request(Token request, Errc status, std::string_view bytes);

  // SessionSink
  void on_numbered(Token token, CallId id) override { FutureState::of(token).number(id); }
  void on_answer(Token token, Errc status, const wire::Body& value) override;
  void expect_answer(Token token) override;
  void on_refused(Token token, std::uint32_t handle, Errc status, std::string_view error) override;
  void on_settled(std::uint64_t calls, std::uint64_t bytes) override;
  void on_opened(std::uint32_t handle, const wire::Opened& opened) override;
  void on_created(std::uint32_t handle, ActorId id) override;
  void on_parked(std::uint32_t handle, bool parked) override;
  void on_full(std::uint32_t handle, const FullTold& told) override;
  void on_not_full(std::uint32_t handle) override;
  void on_progress(std::uint32_t handle, const QueueProgress& progress) override;
  void on_cancel_answer(Token request, wire::CancelAnswer answer) override;
  void on_request_answer(Token request, Errc status, std::string_view info) override;
  void on_connected(bool connected) override;

  const ClientOptions options_;
  Session session_;
  std::unique_ptr<Connection> own_connection_;
  Connection* connection_;  ///< null once closed
  Callbacks callbacks_;
  std::shared_ptr<Core> keep_alive_;  ///< guarded by mutex_
  ReferenceStock references_;         ///< guarded by mutex_: what the next futures refer to us by
  std::atomic<std::thread::id> in_thread_{};
  std::atomic<std::uint64_t> unanswered_{0};
  Lending lending_;
  std::atomic<bool> steady_{false};  ///< one thread submits, waits and takes the turns by itself

  mutable ShortLock mutex_;
  mutable std::condition_variable_any changed_;  ///< room, connected, ended
  Gathered gathered_;                        ///< guarded by mutex_, as is all below
  std::size_t enough_ = 1;                   ///< entries in it that wake the connection's thread
  std::vector<std::string> spare_bytes_;
  std::uint64_t unaccepted_calls_ = 0;
  std::uint64_t unaccepted_bytes_ = 0;
  std::uint32_t waiting_ = 0;  ///< threads that wait for `changed_`
  std::vector<std::uint32_t> free_slots_;
  std::uint32_t slots_made_ = 0;
  bool connected_ = false;
  bool closing_ = false;
  std::optional<ErrorInfo> ended_;
  std::map<std::string, QueuePtr, std::less<>> tasks_;
  std::map<std::pair<ActorId, std::string>, std::weak_ptr<Queue>> adopted_;  ///< by id and class
  std::size_t adopted_sweep_ = 64;

  // the connection's thread only
  Gathered taking_;
  bool heard_ = false;                  ///< the broker spoke since calls were last taken
  std::int64_t last_heard_us_ = 0;
  std::int64_t gather_until_us_ = 0;    ///< calls that come before it may wait for others
  std::int64_t gather_due_us_ = kNever; ///< the same while some wait
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> slot_of_handle_;
  std::map<Token, StatePtr> requests_;
  Token last_request_ = 0;
  std::vector<StatePtr> sleepers_;  ///< to be woken at the end of the turn
  bool answered_ = false;           ///< something became ready in this turn
  bool woke_ = false;               ///< a thread that waited was woken in this turn
  struct Refusal {
    Token token = 0;
    std::uint32_t handle = 0;
    Errc status = Errc::ok;
    std::string error;
  };
  std::vector<Refusal> refusals_;
};

}  // namespace callboard::client
