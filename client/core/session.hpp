// A client's session: its calls from submit to answer, as a state machine without I/O.
//
// Thread safety: none; one thread owns it. It is a member of a wire::Link, which steps it; what its
// user wants is said between the link's steps by the functions below, and leaves with the next
// on_tick(). What becomes of it is told to a SessionSink.
//
//   submit --> unsent --> sent --> accepted --> answered
//                |          |--> refused (answered)
//                |          `--> parked <--> resent --> accepted
//                `--> held --> unsent (with a new number)
//
// Invariants:
// - Calls are numbered in the order of submit() and leave in the order of their numbers.
// - A call that the broker does not have is held rather than sent while one before it on the same
//   handle is parked or held, or while it depends on a call that the broker may not have.
// - A call has exactly one answer, whatever arrives twice; a number is never used for two calls.
// - After a reconnect only what the welcome does not claim is sent again (docs/protocol.md).
#pragma once

#include "client/core/call_table.hpp"
#include "client/core/full_queue.hpp"
#include "client/core/handle.hpp"
#include "common/check.hpp"
#include "common/limits.hpp"
#include "common/link.hpp"
#include "common/messages.hpp"
#include "common/time.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::client {

/// Where a session tells what happens. Called from within its steps; must not call it back.
class SessionSink {
 public:
  virtual ~SessionSink() = default;

  /// The call has this id. Told again when a call that has not left gets another.
  virtual void on_numbered(Token token, CallId id) = 0;
  /// The final answer: an encoded value when `status` is ok, else an encoded ErrorInfo. The bytes
  /// are borrowed.
  virtual void on_answer(Token token, Errc status, const wire::Body& value) = 0;
  /// That of this call comes soon, most likely.
  virtual void expect_answer(Token) {}
  /// The final answer of a call that was refused. Until Session::resume() the broker refuses the
  /// later calls of this handle: its user must be able to see this answer before that.
  virtual void on_refused(Token token, std::uint32_t handle, Errc status,
                          std::string_view error) = 0;
  /// So many calls, with so many bytes, are now accepted or answered.
  virtual void on_settled(std::uint64_t calls, std::uint64_t bytes) = 0;
  /// What the broker said of a handle; told again after reconnects.
  virtual void on_opened(std::uint32_t handle, const wire::Opened& opened) = 0;
  /// A creation that has not left has this id now (later ones: on_opened()).
  virtual void on_created(std::uint32_t /*handle*/, ActorId /*id*/) {}
  /// The queue is full and blocks (or has room again): whoever would submit should wait.
  virtual void on_parked(std::uint32_t handle, bool parked) = 0;
  /// The queue of this handle is full: not all that is asked for need be submitted (FullQueue).
  virtual void on_full(std::uint32_t /*handle*/, const FullTold& /*told*/) {}
  /// Nothing is known of that any more.
  virtual void on_not_full(std::uint32_t /*handle*/) {}
  /// What has become of the calls of such a handle by now.
  virtual void on_progress(std::uint32_t /*handle*/, const QueueProgress& /*progress*/) {}
  virtual void on_cancel_answer(Token request, wire::CancelAnswer answer) = 0;
  /// Of an administrative request or kill.
  virtual void on_request_answer(Token request, Errc status, std::string_view info) = 0;
  /// The broker was reached (or lost).
  virtual void on_connected(bool connected) = 0;
};

/// What is to be called.
struct NewCall {
  Token token = 0;
  std::uint32_t handle = 0;
  std::uint32_t method = 0;
  std::uint8_t flags = 0;            ///< CallFlags
  std::string_view args;             ///< encoded list, in bytes given to keep() after the call
  std::string_view options;          ///< encoded, in the same bytes; unless `extra` has options
  std::unique_ptr<CallExtra> extra;
};

/// How a session says who it is.
struct SessionOptions {
  SessionId id{};                ///< random, above 1
  std::uint64_t random_seed = 1; ///< for the ids of later sessions, should the broker forget one
  std::string name{};
  std::string host{};
  std::uint64_t pid = 0;
  std::size_t unacked_calls_max = limits::kUnackedCallsMax;
  std::size_t unacked_bytes_max = limits::kUnackedBytesMax;
};

class Session final : public wire::LinkMember {
 public:
  Session(SessionOptions options, SessionSink& sink);

  // --- what its user wants ----------------------------------------------------------------------
  /// A handle for a queue that exists: an actor or deployment by id or name, or a task.
  std::uint32_t open(const Target& target, std::vector<std::string> methods);
  /// A handle for a new actor or deployment. It takes a number like a call; the answer comes as
  /// on_opened().
  std::uint32_t create(Instant now, Creation creation, std::vector<std::string> methods);
  /// The id that the broker knows the actor by; of a creation: that it will have, unless the name
  /// leads to an actor that was there before.
  ActorId actor_of(std::uint32_t handle) const { return handles_[handle]->target.actor; }
  /// Numbers for more methods of a handle.
  void add_methods(std::uint32_t handle, const std::vector<std::string>& names);
  /// Lets go of a handle once its calls have left.
  void close(std::uint32_t handle);

  /// Submits a call and gives its number.
  std::uint64_t submit(Instant now, NewCall call);
  /// The same for a call without an `extra`; whoever submits it is told its number here alone.
  /// REQUIRES: not ended().
  [[gnu::always_inline]] std::uint64_t submit_plain(const NewCall& call) {
    const std::uint64_t seq = ++last_seq_;
    add(seq, call, static_cast<std::uint32_t>(call.args.size() + call.options.size()));
    return seq;
  }
  /// A call of this handle is submitted soon: asks for where the handle is to be found, and for
  /// what of it a call looks at.
  void expect_place(std::uint32_t number) const {
    if (number < handles_.size()) prefetch_to_read(&handles_[number], 1);
  }
  void expect_call(std::uint32_t number) const {
    if (number < handles_.size()) prefetch_to_write(handles_[number].get(), kCacheLine);
  }
  /// Keeps the bytes of the arguments of the calls submitted since the last keep().
  void keep(std::string bytes);
  /// Strings that are no longer needed, for their memory.
  std::vector<std::string>& spare_bytes() { return spare_; }

  /// The user has seen the refusal: the queue may take calls again. Calls submitted before this are
  /// still refused.
  void resume(std::uint32_t handle);
  /// Answers come as on_cancel_answer() and on_request_answer(). REQUIRES: `request` is not in use.
  void cancel(Token request, CallId call, bool force);
  void kill(Token request, std::uint32_t handle, bool restart);
  void admin(Token request, std::string verb, std::string info);
  /// A blocking wait inside `self` for `other` begins or ends.
  void waiting(CallId self, CallId other, bool begins);
  /// Ends everything that is unanswered with `code`; nothing is accepted afterwards.
  void end(Errc code, const std::string& text);

  SessionId id() const { return options_.id; }
  /// Set once it has ended: why.
  const std::optional<std::pair<Errc, std::string>>& ended() const { return ended_; }
  bool connected() const { return connected_; }
  /// Calls that are neither accepted nor answered.
  std::uint64_t unsettled() const { return unsettled_; }
  std::uint64_t unanswered() const { return calls_.size(); }
  /// Answers that came for calls that already had one, for metrics and checkers.
  std::uint64_t repeated_answers() const { return repeated_answers_; }

  // --- wire::LinkMember -------------------------------------------------------------------------
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

 private:
  /// Something that must not overtake the calls before it.
  struct Marker {
    std::uint64_t after = 0;  ///< leaves once every number up to this one has
    enum class What : std::uint8_t { open, resume, close, kill, wait } what = What::resume;
    std::uint32_t handle = 0;
    Token request = 0;  ///< kill
    std::uint64_t seen = 0;  ///< resume: the refusal that it is for; 0: it gives back room
    CallId self{};      ///< wait
    CallId other{};
  };
  struct Request {
    std::string verb;
    std::string info;
    bool sent = false;
    bool kill = false;
    std::uint32_t handle = 0;  ///< kill
    bool restart = false;      ///< kill
    bool handle_gone = false;  ///< kill: the handle was closed since
  };

  /// An owned actor that was let go of a moment ago.
  struct Closed {
    Target target;
    std::int64_t at_us = 0;
  };
  struct Kept {
    std::uint64_t last = 0;
    std::string bytes;
  };
  static constexpr std::uint64_t kUnbounded = UINT64_MAX;

  /// Asks for the handle of the call that is so far behind `seq`: of many, few are in the caches.
  void expect_handle_behind(std::uint64_t seq) {
    constexpr std::size_t kFewHandles = 64;
    constexpr std::uint64_t kAhead = 4;
    if (handles_.size() <= kFewHandles) return;
    const CallRecord* const ahead = calls_.find(seq + kAhead);
    if (ahead != nullptr) expect_call(ahead->handle);
  }

  // Here and not in session.cpp: each of a million calls a second comes by.
  Handle& handle(std::uint32_t number) {
    CALLBOARD_CHECK(number < handles_.size());
    return *handles_[number];
  }
  [[gnu::always_inline]] CallRecord& add(std::uint64_t seq, const NewCall& call,
                                        std::uint32_t bytes) {
    CallRecord& record = calls_.add(seq);
    record.token = call.token;
    record.order = seq;
    record.args = call.args;
    record.options = call.options;
    record.handle = call.handle;
    record.method = call.method;
    record.bytes = bytes;
    record.state = CallState::unsent;
    record.flags = call.flags;
    ++handle(call.handle).unsettled;
    ++unsettled_;
    return record;
  }
  /// It is accepted or answered.
  [[gnu::always_inline]] void settle(const CallRecord& record, Handle& to) {
    leave_flight(record);
    --to.unsettled;
    if (!record.extra || !record.extra->creation) ++to.progress.settled;
    if (to.told_full) note_progress(record);
    --unsettled_;
    ++settled_calls_;
    settled_bytes_ += record.bytes;
    if (record.extra && record.extra->deadline_us != kNever) --with_deadline_;
  }
  void leave_flight(const CallRecord& record) {
    if (record.state != CallState::sent && record.state != CallState::resent) return;
    --unacked_calls_;
    unacked_bytes_ -= record.bytes;
  }
  void take(Instant now, std::uint64_t seq) {
    if (!taken_.empty() && taken_.back().first + taken_.back().second == seq) {
      ++taken_.back().second;
      ++taken_count_;
    } else {
      take_first(now, seq);
    }
  }

  // session.cpp: numbers and what leaves
  std::uint32_t new_handle();
  SessionId new_id();
  void number(std::uint64_t seq, CallRecord& record);
  void drop_kept();
  void own_bytes(CallRecord& record);
  void pump(Instant now, wire::LinkOut& out);
  bool pump_plain(wire::LinkOut& out);
  void pump_markers(Instant now, wire::LinkOut& out);
  /// A call of it that has nothing special may leave, and nothing has to be told before it.
  bool leaves_at_once(const Handle& to) const {
    return to.plain() && to.opened_on == connection_ && !to.methods_due;
  }
  void sent(CallRecord& record) {
    record.state = CallState::sent;
    ++unacked_calls_;
    unacked_bytes_ += record.bytes;
  }
  bool may_leave(std::uint64_t seq, CallRecord& record, Handle& to);
  bool is_first(const CallRecord& record, Handle& to);
  void hold(std::uint64_t seq, CallRecord& record, Handle& to);
  bool dependencies_ready(const CallRecord& record);
  bool may_be_missing(const Dependency& dependency);
  void release_held();
  void write_requests(wire::LinkOut& out);
  void flush_taken(Instant now, wire::LinkOut& out);
  void write_taken(wire::LinkOut& out);
  void take_first(Instant now, std::uint64_t seq);
  void give_up(std::uint64_t seq);

  // write.cpp: calls and handles as messages
  void write_call(Instant now, std::uint64_t seq, CallRecord& record, wire::LinkOut& out);
  void write_creation(std::uint64_t seq, CallRecord& record, Handle& to, wire::LinkOut& out);
  bool encode_extra(Instant now, std::uint64_t seq, CallRecord& record);
  bool add_dependencies(std::uint64_t seq, CallRecord& record, wire::CallOptions& options);
  void encode_arguments(CallRecord& record, bool separate);
  bool fail_dependent(std::uint64_t seq, CallRecord& record, const Dependency& dependency);
  void note_opened(Handle& to);
  void ensure_open(std::uint32_t number, Handle& to, wire::LinkOut& out);
  void write_close(Instant now, std::uint32_t number, Handle& to, wire::LinkOut& out);

  // answers.cpp: what arrives
  bool on_opened(std::uint32_t fields, wire::FrameReader& in);
  bool on_accepted(std::uint32_t fields, wire::FrameReader& in, wire::LinkOut& out);
  bool on_refused(Instant now, std::uint32_t fields, wire::FrameReader& in);
  bool on_results(Instant now, std::uint32_t fields, wire::FrameReader& in);
  void expect_result(const wire::FrameReader& in, std::size_t bytes, std::uint64_t seq);
  bool end_plain(Instant now, const wire::CallResult& message);
  void on_result(Instant now, const wire::CallResult& message);
  bool on_parked(std::uint32_t fields, wire::FrameReader& in);
  bool on_room(Instant now, std::uint32_t fields, wire::FrameReader& in, wire::LinkOut& out);
  bool on_cancel_answer(std::uint32_t fields, wire::FrameReader& in);
  bool on_admin_answer(std::uint32_t fields, wire::FrameReader& in);
  void tell_full(Instant now, std::uint32_t number, Handle& to, const wire::Refused& refused);
  void tell_not_full(std::uint32_t number, Handle& to);
  void note_progress(const CallRecord& record);
  void tell_progress();
  void park(std::uint64_t seq, CallRecord& record, Handle& to);
  std::uint64_t resend_parked(Instant now, Handle& to, std::uint64_t count, wire::LinkOut& out);
  void parking_done(std::uint32_t number, Handle& to);
  void tell_parked(std::uint32_t number, Handle& to, bool parked);
  void accept(std::uint64_t seq, CallRecord& record);
  void forget(std::uint64_t seq, CallRecord& record);
  void answer(std::uint64_t seq, CallRecord& record, Errc status, std::string message,
              std::string causes = {});
  void refuse_before(std::uint64_t seq, CallRecord& record);

  // resume.cpp: what a welcome, a loss or the end leaves of them
  void look_whether_known(Instant now);
  void settle_sent(const wire::Welcome& welcome, bool new_epoch);
  void end_memory_call(std::uint64_t seq, CallRecord& record);
  bool is_unknown(const CallRecord& record);
  void settle_of_before(Handle& to, bool memory);
  static void forget_parked(Handle& to);
  bool is_memory(const CallRecord& record);
  bool is_retried(const CallRecord& record);
  bool is_doomed(std::uint64_t seq, const CallRecord& record);
  void reopen_handles();
  void expire_waiting(Instant now);

  SessionOptions options_;
  SessionSink& sink_;
  CallTable calls_;
  std::vector<std::unique_ptr<Handle>> handles_;
  std::vector<std::uint32_t> free_handles_;

  std::uint64_t last_seq_ = 0;         ///< given last
  std::uint64_t sent_through_ = 0;     ///< all numbers up to this one have left, were held or ended
  std::uint64_t accepted_through_ = 0; ///< all up to here are acknowledged, or have their answers
  std::uint64_t seen_through_ = 0;     ///< all up to here had come to the broker at the welcome
  std::uint64_t unacked_calls_ = 0;    ///< sent, and nothing is known of them
  std::size_t unacked_bytes_ = 0;
  std::uint64_t unsettled_ = 0;
  std::uint64_t settled_calls_ = 0;    ///< to be told at the end of the turn
  std::uint64_t settled_bytes_ = 0;
  std::set<std::uint64_t> limbo_;      ///< numbers of parked and resent calls
  std::deque<std::uint64_t> resends_;  ///< below sent_through_, to leave before anything else
  std::set<std::uint32_t> holding_;    ///< handles with held calls
  std::vector<std::uint32_t> full_;    ///< handles that were full, with news of their calls
  std::uint64_t with_deadline_ = 0;    ///< unsent or held calls that have one

  std::deque<Kept> kept_;
  std::vector<std::string> spare_;

  std::deque<Marker> markers_;
  std::vector<Marker> closing_;        ///< wait for calls of their handle to be settled
  std::deque<Closed> closed_;
  std::map<Token, Request> requests_;
  std::vector<Token> requests_unsent_;
  std::map<CallId, std::vector<std::pair<Token, bool>>> cancels_;  ///< request, by force
  std::set<CallId> cancels_unsent_;
  std::set<std::pair<CallId, CallId>> waits_;
  std::vector<std::pair<CallId, CallId>> waits_ended_;

  wire::Ranges taken_;
  std::uint64_t taken_count_ = 0;
  std::int64_t taken_due_us_ = kNever;
  std::int64_t expire_due_us_ = kNever;

  std::uint64_t connection_ = 0;       ///< counts welcomes
  bool connected_ = false;
  bool known_ = false;                 ///< the next broker run must know this session
  std::int64_t provisional_us_ = kNever;  ///< when one welcomed it that could not record it
  std::optional<std::pair<Errc, std::string>> ended_;
  std::uint64_t random_state_;
  std::uint64_t repeated_answers_ = 0;
};

}  // namespace callboard::client
