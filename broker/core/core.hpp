// Everything the broker knows, and the steps that change it. Internal to broker/core.
//
// One class, split by noun into sources. From the outside inwards: core.cpp (events),
// connections.cpp, sessions.cpp, workers.cpp, handles.cpp; the way of a call: create.cpp,
// submit.cpp, parking.cpp, dependencies.cpp, lanes.cpp, dispatch.cpp, returns.cpp, results.cpp,
// cancel.cpp; the life of actors: placement.cpp, actors.cpp, queue_ends.cpp; what goes wrong:
// losses.cpp, reconcile.cpp, restore.cpp; what waits outside of memory: memory.cpp, read_back.cpp,
// restore_stored.cpp; what is stored, and what may be told when: commit.cpp; short steps that every
// call takes: steps.hpp;
// for people: admin*.cpp, explain.cpp; calls that nobody submits: schedules.cpp.
//
// Two rules hold everywhere: enter() is the only way into a lane and end_call() the only way to an
// outcome; uncount() is the only place where a call leaves its queue, and it gives back the room.
// Thread safety: none.
#pragma once

#include "broker/core/broker.hpp"
#include "broker/core/call.hpp"
#include "broker/core/dead_set.hpp"
#include "broker/core/event.hpp"
#include "broker/core/idempotency.hpp"
#include "broker/core/queue.hpp"
#include "broker/core/queue_table.hpp"
#include "broker/core/schedule.hpp"
#include "broker/core/session.hpp"
#include "broker/core/worker.hpp"
#include "broker/store/journal.hpp"
#include "common/messages.hpp"
#include "common/shared_values.hpp"

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace callboard::broker {

/// Something that is due at a time; stale ones are noticed by the call's generation.
struct Timer {
  enum class Kind : std::uint8_t { call_due, delay_over, deadline, place };
  std::int64_t due_us = 0;
  Kind kind = Kind::call_due;
  CallSlab::Ref call;
  ActorId actor;  ///< place
  std::uint32_t replica = 0;
  bool operator>(const Timer& other) const { return due_us > other.due_us; }
};

/// What is read from the store before work begins.
struct Restored {
  struct StoredCall {
    std::string queue, number, value;
  };
  /// Calls by queue, each its number and record. There may be millions.
  std::map<std::string, std::vector<std::pair<std::uint64_t, std::string>>, std::less<>> calls;
  /// One that is left in the store.
  struct StoredEntry {
    std::uint64_t number = 0;
    std::uint64_t seq = 0;
    SessionId session{};
    std::uint32_t bytes = 0;
    std::uint16_t method = 0;
  };
  struct StoredQueue {
    std::vector<StoredEntry> calls;
    std::vector<std::string> methods;
    std::unordered_set<std::uint64_t> sent;  ///< those out of order, or tried before
    std::uint64_t sent_through = 0;          ///< watermarks are not above it
    std::string key;                         ///< of its calls
    bool alive = false;
  };
  std::map<std::string, StoredQueue, std::less<>> stored;
  std::uint64_t call_bytes = 0;  ///< memory of the calls, about
  bool stores = false;           ///< calls are left in the store from now on
  bool journal_read = false;
  std::vector<Call*> unfinished;  ///< of them and of the delayed ones, in this order
  std::unordered_map<const Call*, std::uint64_t> sent_to;  ///< tasks -> number of their worker
  std::vector<Call*> taken;  ///< results only others may need; held until those are bound
  std::vector<StoredCall> sent;
  std::vector<StoredCall> delayed;                                   ///< number = call id
  std::vector<StoredCall> dead;                                      ///< number = call id
  std::vector<StoredCall> keyed;                                     ///< number = queue and key
  std::vector<StoredCall> results;                                   ///< queue = session in hex
  std::map<std::string, std::map<std::string, std::string>> queues;  ///< fields of q:NAME
  std::map<std::string, std::string> actors, names, sessions, classes, schedules;
};

/// Where counters for the outside gather.
struct CoreCounters {
  std::uint64_t submitted = 0, accepted = 0, refused = 0, duplicates = 0;
  std::uint64_t sent = 0, returned = 0, retried = 0, redelivered = 0;
  std::uint64_t ended_ok = 0, ended_error = 0, commits = 0, bad_frames = 0;
  std::uint64_t workers_lost = 0, fenced_results = 0, buried = 0;
  std::uint64_t calls_left = 0, calls_read = 0;  ///< left memory, and came back
};

/// How a call lost its worker.
struct Loss {
  bool begun = false;   ///< it had begun, or nobody can know
  bool known = false;   ///< somebody who knows says so
  bool blamed = false;  ///< it took the process down
  std::string_view why;
  const wire::ChildDied* report = nullptr;
};

class Core {
 public:
  Core(const BrokerOptions& options, std::uint64_t random_seed, ZoneReader read_zone);

  // --- broker.hpp ------------------------------------------------------------------------------
  std::string load(const StoreEntry& entry);
  void loaded(Instant now, Effects& effects);
  void step(Instant now, const Event& event, Effects& effects);
  std::int64_t next_deadline_us() const;
  bool congested() const;
  bool has_batch() const;
  /// Memory that what waits for the next commit takes.
  std::size_t open_bytes() const { return open_->bytes() + journal_.gathered_bytes(); }
  const StoreBatch& take_batch(std::uint64_t& commit_no);
  void settle_journal() { journal_.put_off_nothing(); }

  // --- core.cpp: events ------------------------------------------------------------------------
  void on_frame(PeerId id, const wire::FrameView& frame);
  bool on_message(Peer& peer, wire::Type type, std::uint32_t fields, wire::FrameReader& in);
  void on_committed(std::uint64_t commit_no);
  void on_tick();
  void listen(Instant now);  ///< time passes: how much of it counts as silence
  void run_timers();
  void finish_step();
  bool has_frame(const Peer& peer) const;  ///< one leaves for it at the end of this turn
  void at(std::int64_t due_us, Timer::Kind kind, Call& call);
  void announce(std::string_view topic, std::string info);
  void announce_state(std::string_view kind, std::string_view name, std::string_view state,
                      std::string_view detail, std::string_view text);
  void log(int level, std::string text);

  // --- memory.cpp ------------------------------------------------------------------------------
  /// Calls that are being read from the store.
  struct Reading {
    QueuePtr queue;
    std::uint8_t group = 0;
    std::int8_t priority = 0;
    std::vector<std::uint64_t> numbers;
    std::vector<CallSlab::Ref> stubs;  ///< of the numbers, when it is for stubs
  };
  std::uint64_t memory_used() const;
  void note_settling();
  void note_settled();
  bool may_leave(const Call& call, const Lane& lane) const;
  void leave_memory();
  void share_pages(std::size_t lanes);
  void leave_lane_tail(Queue& queue, Lane& lane, std::uint64_t enough);
  void store_only(Queue& queue, Lane& lane, Call& call);
  void add_run(Lane& lane, const StoredRun& run);
  void drop_run(Lane& lane, StoredRun& run);
  void cut_run(Lane& lane, StoredRun& run, std::uint64_t n);
  static StoredRun* stored_run(Session& session, std::uint64_t seq);
  Call& make_stub(StoredRun& run, std::uint64_t number, bool linked);
  std::vector<Call*> stubs_of(Queue& queue, std::size_t max);

  // --- read_back.cpp ---------------------------------------------------------------------------
  void read_ahead(Queue& queue);
  void ask_page(Queue& queue, Lane& lane);
  void ask_stubs(Queue& queue, Lane& lane);
  void ask(Queue& queue, Lane& lane, Reading reading);
  void on_calls_read(const CallsRead& read);
  void take_back(Lane& lane, StoredRun& run, const Reading& reading, const CallsRead& read,
                 std::size_t& i, std::size_t& at, std::vector<CallSlab::Ref>& lost);
  Call* restore_stored(const StoredRun& run, std::uint64_t seq, std::string_view record);
  bool fill_stub(Call& stub, std::string_view record);
  void want_back(Call& stub);

  // --- connections.cpp -------------------------------------------------------------------------
  void on_hello(PeerId id, const wire::Hello& hello);
  void reject(PeerId id, Errc code, std::string text);
  bool is_ahead(const wire::Hello& hello) const;
  void record_run();
  void meet_witness(PeerId id, const wire::Hello& hello);
  void forget_peer(Peer& peer);
  void on_goodbye(Peer& peer, Errc code);

  // --- sessions.cpp ----------------------------------------------------------------------------
  bool hello_session(Peer& peer, const wire::Hello& hello, wire::Welcome& welcome);
  std::uint64_t welcome_batch(Session& session);
  void resend_results(Session& session);
  void session_gone(Session& session, bool said_goodbye);
  void expire_sessions();

  // --- workers.cpp -----------------------------------------------------------------------------
  bool hello_worker(Peer& peer, const wire::Hello& hello);
  void expire_workers();
  void refresh_workers();

  // --- reconcile.cpp ---------------------------------------------------------------------------
  void settle_held(Worker& worker, const wire::Hello& hello);
  static void outlive(Worker& worker, const Instance& instance);
  void settle_actors(Worker& worker, const wire::Hello& hello);
  void take_over(Worker& worker, Instance& instance, std::uint32_t slot, bool here);
  void settle_calls(Worker& worker, const wire::Hello& hello);
  static Instance* instance_of(const Worker& worker, const wire::HeldCall& held);
  void answer_held_lane(Worker& worker, const wire::HeldCall& held);
  void part_with(Worker& worker, std::uint64_t lease);
  void part_with_strangers(Worker& worker);
  void settle_unleased(Worker& worker, std::uint64_t no, const wire::HeldCall& held);
  void believe_worker(const Worker& worker, Call& call, const wire::HeldCall& held);
  void settle_orphans();
  static void settle_orphan(Call& call);  ///< it is known now what became of it

  // --- losses.cpp ------------------------------------------------------------------------------
  void on_child_died(Peer& peer, const wire::ChildDied& message);
  /// `planned`: it ends on purpose, so its actors move and no restart is charged.
  void worker_lost(Worker& worker, const wire::ChildDied* report, std::string_view why,
                   bool planned = false);
  void settle_leases(Worker& worker, const wire::ChildDied* report, std::string_view why);
  void settle_tasks(std::uint64_t worker, const wire::ChildDied* report, std::string_view why);
  void record_kept_results(const Worker& worker);
  void lease_lost(Call& call, const Loss& loss);

  // --- handles.cpp -----------------------------------------------------------------------------
  void on_open(Session& session, const wire::Open& message);
  void on_methods(Session& session, const wire::Methods& message);
  Handle& fresh_handle(Session& session, std::uint32_t number);
  void find_target(const wire::Open& message, Handle& handle);
  static void hold(Session& session, Handle& handle, QueuePtr queue);
  void answer_open(Session& session, std::uint32_t number, const Handle& handle,
                   std::string_view class_name);
  void drop_handle(Session& session, Handle& handle);
  static bool bind_methods(Handle& handle, const std::vector<std::string>& names);
  QueuePtr task_queue(const std::string& function);

  // --- create.cpp ------------------------------------------------------------------------------
  void on_create(Session& session, const wire::Create& message, const std::string& problem);
  Errc create_problem(const wire::Create& message, const std::string& name,
                      std::string& text) const;
  QueuePtr create_queue(Session& session, const wire::Create& message,
                                      const std::string& name);

  // --- submit.cpp ------------------------------------------------------------------------------
  bool on_submits(Session& session, std::uint32_t fields, wire::FrameReader& in);
  static void expect_submit(Session& session, const wire::FrameReader& in, std::size_t bytes);
  void on_submit(Session& session, const wire::Submit& message);
  void submit(Session& session, Handle& handle, const wire::Submit& message,
              const wire::CallOptions* options);
  void refuse_submit(Session& session, Handle& handle, const wire::Submit& message, Errc code,
                     std::string_view text);
  bool number_is_new(Session& session, std::uint64_t seq, std::uint32_t handle_no);
  bool old_number_is_new(Session& session, std::uint64_t seq, std::uint32_t handle_no);
  Errc submit_problem(Session& session, Handle& handle, const wire::Submit& message,
                      const wire::CallOptions* options, std::string& text);
  Errc key_problem(const Handle& handle, const wire::Submit& message,
                   const wire::CallOptions& options, std::string& text) const;
  Call& make_call(Session& session, Queue& queue, CallId id, std::string_view options,
                  const wire::Body& args, const wire::CallOptions* parsed);
  void apply_options(Call& call, const wire::CallOptions& options);
  void accept(Call& call);
  void line_up_call(Call& call);  ///< gives it its number
  void acknowledge(Session& session);
  void acknowledge_soon(Session& session);  ///< with the next frame to it, or when it is time

  // --- parking.cpp -----------------------------------------------------------------------------
  bool park_or_refuse(Session& session, Handle& handle, const wire::Submit& message,
                      const wire::CallOptions* options);
  bool park_or_refuse_rare(Session& session, Handle& handle, const wire::Submit& message,
                           const wire::CallOptions* options);
  void offer_waiting(Session& session, std::uint32_t number, Handle& handle);
  void use_room(const Session& session, std::uint32_t number, Handle& handle);
  void line_up(const Session& session, std::uint32_t number, Handle& handle);
  void grant_room(Queue& queue);
  void refuse(Session& session, std::uint64_t seq, std::uint32_t handle, Errc code,
              std::string_view text, std::uint64_t retry_after_ms = 0, std::uint64_t room = 0);
  void on_resume(Session& session, const wire::Resume& message);
  void give_up(Session& session, std::uint64_t seq);

  // --- dependencies.cpp ------------------------------------------------------------------------
  static std::vector<CallId> dependencies(const CallExtra& extra);
  void end_lacking(Call& call, const std::string& what, const std::string& expired);
  void note_missed(CallId id);
  bool bind_dependencies(Call& call);
  void end_dependents(Call& call);
  void release_holds(Call& call);

  // --- delays.cpp ------------------------------------------------------------------------------
  void hold_back(Call& call, std::int64_t due_wall_ms);
  std::int64_t due_of_dependencies(const CallExtra& extra);
  void store_delayed(const Call& call);
  void forget_delayed(Call& call);
  void delay_over(Call& call);
  /// When a call with these options may start; not in the future: at once.
  std::int64_t due_wall_ms(const wire::CallOptions& options) const;

  // --- schedules.cpp ---------------------------------------------------------------------------
  std::string understand(Schedule& schedule);
  void plan(Schedule& schedule);
  void wait_for(const Schedule& schedule);
  void store_schedule(const Schedule& schedule);
  void remove_schedule(const std::string& name);
  QueuePtr schedule_target(const Schedule& schedule, std::string& problem);
  std::string make_scheduled_call(Schedule& schedule, std::int64_t due_s);
  void schedule_due(Schedule& schedule);
  void run_schedules();
  std::string restore_schedule(const std::string& name, const std::string& record);

  // --- idempotency.cpp -------------------------------------------------------------------------
  bool key_conflicts(const Queue& queue, const std::string& key, std::string_view digest) const;
  bool lead_key(Call& call);
  const Call* leader_of(const Call& follower) const;
  void store_follower(Call& call);
  void key_ended(Call& call);
  void expire_keys();
  std::string restore_key(const Restored::StoredCall& stored);

  // --- dead_set.cpp ----------------------------------------------------------------------------
  void bury(const Call& call, Errc code, std::string_view message, const wire::ChildDied* report);
  void remove_dead(const std::string& queue, DeadSet& set, std::size_t index);
  void trim_dead(const std::string& queue, DeadSet& set);
  void expire_dead();
  void drop_dead(const std::string& queue);
  static std::string dead_key(std::string_view queue);
  Session& own_session();
  std::string redrive(const DeadCall& dead, const std::string& queue_name, CallId& made);
  std::string restore_dead(const Restored::StoredCall& stored);

  // --- lanes.cpp -------------------------------------------------------------------------------
  void enter(Call& call);  ///< waiting or back -> its lane
  void leave_lane(Call& call);
  void key_done(Call& call);
  void give_up_key(Call& call);
  static bool ready(const Call& call) { return call.state == CallState::ready; }

  // --- dispatch.cpp ----------------------------------------------------------------------------
  void wake(Queue& queue);  ///< dispatches what may go
  void send_ready(Queue& queue);
  void wake_instance(Instance& instance);
  void wake_tasks(Instance& slot);
  static bool may_send(const Queue& queue);
  void expect_send(const Call& call);
  bool send_head(Queue& queue, Lane& lane);
  Lane* first_of_lanes(Queue& queue, std::size_t first) const;
  static Instance* free_instance(Queue& queue, std::uint8_t group);
  static Instance* least_busy(Queue& queue, std::uint8_t group);
  void send(Call& call, Lane& lane, Instance& instance);
  void splice(const Call& call, std::string& args) const;
  static std::uint32_t task_number(const Worker& worker, const std::string& function);
  void tell_methods(Instance& instance);

  // --- returns.cpp -----------------------------------------------------------------------------
  bool on_dones(Worker& worker, std::uint32_t fields, wire::FrameReader& in);
  static void expect_done(Worker& worker, const wire::FrameReader& in, std::size_t bytes);
  void on_done(Worker& worker, const wire::Done& message);
  bool on_failed(Call& call, Instance& instance, const wire::Done& message);
  void on_returned(Worker& worker, const wire::Returned& message);
  void end_unbegun(Call& call, Errc asked);
  void on_window(Worker& worker, const wire::Window& message);
  void close_lease(Worker& worker, std::uint64_t lease_no, const Lease& lease);
  static bool wants_retry(const Call& call, Errc status, std::string_view error_type);
  static bool has_attempts(const Call& call);
  void retry(Call& call, std::int64_t backoff_ms);
  static bool lacks_results(const Call& call);
  void put_back(Call& call);  ///< leased and not begun -> head of its lane
  std::int64_t backoff_ms(const Call& call, int failures);

  // --- results.cpp -----------------------------------------------------------------------------
  void end_call(Call& call, Errc status, const wire::Body& value, bool by_method);
  void end_with(Call& call, Errc status, std::string message, std::string causes = {});
  void deliver(Call& call, bool by_method);
  void tell_owner(Call& call, std::uint64_t batch);
  void record_result(Call& call);
  void uncount(Call& call);
  void confirm_lease(Call& call, bool deferred);
  void forget(Worker& worker, std::uint64_t lease, bool deferred);
  Worker* holder_of(const Call& call);  ///< null: that keeps its result no more
  void drop_if_done(Call& call);
  void drop(Call& call);
  static void expect_taken(Session& session, std::uint64_t seq);
  void on_taken(Session& session, const wire::Taken& message);
  void settle();
  Call* find_call(CallId id);
  Call* find_call(Session& session, std::uint64_t seq);
  Call* find_stored(Session& session, std::uint64_t seq);

  // --- placement.cpp ---------------------------------------------------------------------------
  Instance& make_instance(const QueuePtr& queue, std::uint32_t replica);
  void place(Instance& instance);
  void place_waiting();
  Worker* choose_worker(const Instance& instance);
  void start(Instance& instance, Worker& worker);
  void detach(Instance& instance);
  void resolve_concurrency(Queue& queue, wire::Mode class_mode);
  QueuePtr new_queue(std::string name, std::string class_name, wire::ActorOptions options);
  void set_making(Queue& queue, std::string class_name, wire::ActorOptions options);

  // --- actors.cpp ------------------------------------------------------------------------------
  void on_started(Worker& worker, const wire::Started& message);
  static bool may_live_again(const Instance& failed);
  void on_stopped(Worker& worker, const wire::Stopped& message);
  void instance_lost(Instance& instance, std::string_view why);
  void start_again(Instance& instance);
  void stop_instance(Instance& instance, bool now);

  // --- queue_ends.cpp --------------------------------------------------------------------------
  void kill_queue(Queue& queue, Errc code, std::string text);
  std::vector<CallSlab::Ref> unfinished_calls(Queue& queue);
  void end_unfinished(Queue& queue);
  void wake_parked(Queue& queue);
  void close_queue(Queue& queue);
  void finish_closing(Queue& queue);
  void finish_all_closing();
  void remove_queue_if_gone(Queue& queue);
  void on_kill(Session& session, Peer& peer, const wire::Kill& message);

  // --- cancel.cpp ------------------------------------------------------------------------------
  void on_cancel(Session& session, const wire::Cancel& message);
  void answer_cancels(Call& call);
  void tell_cancel(SessionId session, CallId call, wire::CancelAnswer answer);
  void on_revoke_answer(Worker& worker, const wire::RevokeAnswer& message);
  static Errc unbegun_end(const Call& call);
  void revoke(Call& call, bool running_too);
  void deadline_passed(Call& call);
  void end_overdue(Call& call, bool tried);
  void on_waiting(Session& session, const wire::Waiting& message);
  const Queue* queue_that_runs(CallId id);

  // --- commit.cpp ------------------------------------------------------------------------------
  std::uint64_t open_batch() const { return (in_flight_ ? flight_no_ : committed_) + 1; }
  /// The last batch that holds anything not yet committed; 0 when all is committed.
  std::uint64_t last_batch() const;
  /// Where a message goes that must not be seen before `batch` is committed (0: now).
  Effects& path(std::uint64_t batch);
  wire::FrameWriter to(const Peer& peer, std::uint64_t batch);
  /// Writes a message of which there are many, whose value and options have `bytes`.
  template <class Message>
  void tell(const Peer& peer, std::uint64_t batch, const Message& message, std::size_t bytes);
  Effects::Gathered* gather(Effects& effects, PeerId peer) const;
  /// The queue's keys in the journal's record of the commit.
  std::uint32_t journal_keys(Queue& queue, std::uint64_t commit_no);
  bool has_changes() const;
  void store_watermarks(Queue& queue);
  void store_counters(Queue& queue);
  void store_call(const Call& call);
  void erase_call(const Call& call);
  /// `task_worker`: where a task is sent.
  void store_sent(const Call& call, bool out, const Worker* task_worker = nullptr);
  void erase_sent(const Call& call);
  void store_result(const Call& call);
  void store_actor(const Queue& queue);
  void store_queue(const Queue& queue);
  void store_last_will(const Queue& queue);
  void erase_queue(const Queue& queue);
  void mark(Queue& queue);
  void mark(Session& session);
  void store_class(const std::string& name, const wire::ClassOffer* offer);

  // --- restore.cpp -----------------------------------------------------------------------------
  /// Records of calls that were sent, by queue and number.
  using SentRecords = std::map<std::pair<std::string, std::uint64_t>, std::string>;
  void apply_journal();
  void restore_all();
  std::string restore_session(const std::string& name, const std::string& record);
  std::string restore_queue(const std::string& name, std::map<std::string, std::string>& fields);
  bool restore_actor(const QueuePtr& queue, const std::string& record);
  Call* restore_record(Queue& queue, std::string_view record, std::string& problem);
  std::string restore_call(Queue& queue, std::uint64_t number, std::string_view record);
  std::string restore_calls();
  std::string restore_delayed(const Restored::StoredCall& stored);
  std::string restore_result(const Restored::StoredCall& stored);
  static void sort_restored(std::vector<Call*>& calls);
  void restore_attempts(Call* call, const SentRecords& sent_records);
  void resume_call(Call* call);
  void end_recovery();

  // --- restore_stored.cpp ----------------------------------------------------------------------
  bool load_stored(std::string_view queue, std::uint64_t number, std::string_view record);
  Restored::StoredQueue& stored_queue(std::string_view name);
  void begin_stored();
  void restore_stored(Queue& queue, const Restored::StoredQueue& stored);
  static bool read_stored(std::string_view record, CallId id, std::string_view& options,
                          wire::Body& args);
  void say_went_back();
  /// No number below it is given out in this timeline.
  std::uint64_t numbers_begin() const {
    return ((options_.timeline - 1) << limits::kTimelineShift) + 1;
  }

  // --- admin.cpp -------------------------------------------------------------------------------
  /// Answers an administrative verb; docs/protocol.md lists them.
  void on_admin(Peer& peer, const wire::Admin& message);

  // --- state -----------------------------------------------------------------------------------
  BrokerOptions options_;
  std::mt19937_64 random_;
  Instant now_;
  Instant began_;
  /// For how long this run could hear its peers. Silence is measured by it: time in which this
  /// broker stood still, or left frames unread, is not the peers' fault. It only makes the broker
  /// wait longer than its workers do, never shorter.
  std::int64_t listened_us_ = 0;
  Effects* effects_ = nullptr;  ///< of the step that runs

  CallSlab slab_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Peer>> peers_;
  std::uint64_t peers_forgotten_ = 0;  ///< counts them
  std::list<Peer*> peers_by_age_;      ///< front: silent for the longest
  std::map<SessionId, std::unique_ptr<Session>> sessions_;
  std::list<SessionId> away_;  ///< sessions without a peer, the longest first
  std::list<std::pair<std::int64_t, SessionId>> gone_;  ///< wall ms when their results go
  std::map<std::string, std::unique_ptr<Worker>, std::less<>> workers_;
  std::unordered_map<std::uint32_t, Worker*> workers_by_serial_;
  Worker* holder_ = nullptr;  ///< found last among them
  std::uint32_t worker_serials_ = 0;
  QueueTable queues_;
  std::vector<QueuePtr> dying_;  ///< dead queues that ended calls still point to
  std::map<std::string, std::uint64_t, std::less<>> name_counters_;  ///< of names free again
  SharedValues<QueueMaking> makings_;
  const std::shared_ptr<const MethodTable> no_methods_ = std::make_shared<MethodTable>();
  std::map<std::string, std::map<std::string, Worker*>, std::less<>> offers_;  ///< class -> workers
  std::map<std::string, wire::Mode, std::less<>> classes_known_;
  std::map<std::string, bool, std::less<>> tasks_known_;
  std::unordered_map<std::string, KeyedCalls> keyed_;  ///< by queue and key
  std::map<std::int64_t, std::vector<std::string>> key_buckets_;
  std::size_t keyed_bytes_ = 0;                       ///< of outcomes
  std::map<std::string, DeadSet, std::less<>> dead_;  ///< by queue
  std::int64_t next_dead_sweep_us_ = 0;
  std::map<std::string, Schedule, std::less<>> schedules_;                ///< by name
  std::set<std::pair<std::int64_t, std::string>> schedules_due_;          ///< seconds, name
  std::map<std::string, std::shared_ptr<const TimeZone>> zones_;          ///< read so far
  ZoneReader read_zone_;
  std::uint64_t lease_floor_ = 1;  ///< a worker that comes back never sees a lease number twice
  std::vector<Instance*> unplaced_;
  std::deque<Queue*> ready_tasks_;  ///< task queues with calls that found no free slot
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  struct Unsettled {
    std::int64_t due_us;
    CallSlab::Ref call;
  };
  std::deque<Unsettled> unsettled_;  ///< told and not taken: recorded when due
  std::vector<QueuePtr> closing_;  ///< closing ones of which a call has ended
  std::vector<Call*> ending_;        ///< ended calls whose dependents are to be told
  bool telling_dependents_ = false;
  std::vector<Worker*> confirm_;  ///< workers with leases to forget
  std::vector<Session*> acks_;    ///< sessions whose acknowledgement waits for a frame, by due time

  // the store
  StoreBatch batch_a_, batch_b_;
  StoreBatch* open_ = &batch_a_;
  StoreBatch* flight_ = &batch_b_;
  Journal journal_;
  std::string spliced_;  ///< arguments of the call that is being sent
  Effects open_effects_;    ///< waits for the open batch
  Effects flight_effects_;  ///< waits for the batch in flight
  std::uint64_t committed_ = 0;
  std::uint64_t flight_no_ = 0;
  bool in_flight_ = false;
  bool store_up_ = true;
  bool store_full_ = false;
  std::string store_problem_;
  std::vector<Queue*> dirty_queues_;
  std::vector<Session*> dirty_sessions_;
  std::vector<Session*> flight_sessions_;  ///< written by the batch in flight

  // waiting calls that are not in memory
  std::deque<std::pair<std::uint64_t, std::int64_t>> batches_taken_;  ///< number, when
  std::uint64_t settling_before_ = 0;  ///< batches below it are settled with the one in flight
  std::int64_t settled_us_ = 0;        ///< calls that were accepted before are in their hashes
  std::int64_t next_leave_us_ = 0;
  std::int64_t leave_pause_us_ = 0;
  std::uint64_t part_bytes_ = 0;   ///< of big arguments of unfinished calls
  std::uint64_t stored_runs_ = 0;
  std::uint64_t page_ = 1;         ///< calls that are read at once
  std::map<std::uint64_t, Reading> readings_;
  std::uint64_t readings_made_ = 0;

  // recovery
  Restored restored_;
  std::vector<CallSlab::Ref> orphans_;
  /// Those that are tasks, by the number of the process that they were sent to.
  std::unordered_map<std::uint64_t, std::vector<CallSlab::Ref>> tasks_out_;
  std::int64_t recovery_ends_us_ = 0;  ///< by listened_us_
  bool recovering_ = false;

  const std::uint64_t run_;         ///< random number of this broker run
  std::map<std::uint64_t, std::uint64_t> runs_;  ///< epoch -> run: those in the store, and ours
  bool run_recorded_ = false;
  std::uint64_t incarnations_ = 0;  ///< given out by this broker run
  std::int64_t next_sweep_us_ = 0;
  CoreCounters counters_;
};

/// The session id under which the broker itself makes calls and replicas of shard `shard`.
constexpr SessionId broker_session(std::uint32_t shard) {
  return SessionId{std::uint64_t{shard} << 56 | 1};
}
/// A name that may stand in a Redis key and in a queue's name.
bool good_name(std::string_view name);
std::string queue_key(std::string_view queue, std::string_view suffix);
/// The encoded headers with one more; the new one wins.
std::string with_header(std::string_view headers, std::string_view name, std::string_view value);
std::string hex(std::uint64_t value);

}  // namespace callboard::broker

#include "broker/core/steps.hpp"
