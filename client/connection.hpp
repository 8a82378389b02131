// The thread, socket and timers of one connection to a broker.
//
// Thread safety: post(), wake(), stop(), try_turn() and drive() from any thread; the rest before
// start() or by the owner. Members are stepped by one thread at a time, the one that has the turns,
// so they need no locks.
//
// A turn: run what was posted, take the frames that have arrived, let every member write what
// gathered (LinkMember::on_tick), send it in as few frames as possible. Whoever has the turns then
// sleeps until a frame, a wake-up or the next deadline.
//
// Usually that is the connection's own thread. While a member says so (lend()), it leaves the turns
// to others and only looks now and then whether they are left alone: a thread that submits one call
// and waits for its result takes them itself (try_turn(), then drive()), and nobody has to be woken
// for either. decisions/0022 has the reasons.
//
// A worker process makes one, adds its worker session (Side::worker), makes a client core over it
// for the calls that its methods make (which adds itself, Side::client), and starts it.
#pragma once

#include "common/link.hpp"
#include "common/time.hpp"
#include "common/zmtp/dealer.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace callboard::client {

struct ConnectionOptions {
  std::vector<std::string> endpoints;  ///< "tcp://host:port" or "ipc://path"; tried in turn
  wire::LinkOptions link;              ///< its `endpoints` is set from the list above
  /// How long a stopped connection may take to get its last frames out.
  std::int64_t linger_ms = 200;
  /// Gets the link's log lines (level as in LinkOut::log), in the connection's thread.
  std::function<void(int level, const std::string& text)> log;
};

class Connection {
 public:
  using Task = std::function<void(Instant now, wire::LinkOut& out)>;

  /// Throws Error (invalid_option) when there is no endpoint or one of them is no address.
  explicit Connection(ConnectionOptions options);
  /// Stops and joins.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// REQUIRES: before start(); the member lives until the thread was joined.
  void add(wire::LinkMember& member, wire::Side side);
  void start();
  /// Says goodbye, ends the link (members get on_ended with `stopping`) and the thread. Idempotent;
  /// does not wait. Safe in the connection's own thread.
  void stop();
  /// Waits for the thread's end. REQUIRES: stop() was called; not in the connection's own thread.
  void join();

  /// Runs `task` in the connection's thread, in the order of posting. False, and not run, once the
  /// connection has stopped.
  bool post(Task task);
  /// Makes the loop take another turn soon, so that every member gets its on_tick(). Cheap when the
  /// loop is busy: at most one system call each time it goes from idle to busy.
  void wake();
  /// As wake(), by a thread that will try to take the turns itself very soon: where they are left,
  /// nobody is woken.
  void wake_unless_left();
  /// Takes a turn in the calling thread, for what was gathered to leave. False, and nothing was
  /// done, unless the turns are left to others and nobody has them.
  bool try_turn();
  /// Takes turns in the calling thread, and sleeps between them, until `done` says so, the time has
  /// come (steady clock) or they are no longer left to others. False, and at once, where they are
  /// not, or somebody else has them.
  bool drive(const std::function<bool()>& done, std::int64_t until_us);
  /// By a member in its steps: whether threads that wait may take the turns from now on, and
  /// whether the own thread may leave them, because nothing is expected. What comes while nobody
  /// has them is seen 2 ms late.
  void lend(bool lend, bool idle) {
    lend_ = lend;
    idle_ = idle;
  }
  /// Says whether somebody is about to take turns that were left, by drive(): where nobody is, the
  /// own thread takes them back at once. Any thread. REQUIRES: set before start().
  void expect_others(std::function<bool()> come) { others_come_ = std::move(come); }
  /// Gets called by the own thread, about once in a millisecond while it has left the turns to
  /// others. REQUIRES: set before start().
  void while_left(std::function<void()> look) { while_left_ = std::move(look); }
  /// Gets called, by whoever has the turns, when they are about to be nobody's. REQUIRES: set
  /// before start().
  void before_leaving(std::function<void()> tell) { before_leaving_ = std::move(tell); }
  /// By a member in its steps: the own thread takes this turn because nobody else has taken one for
  /// a while, though they were left.
  bool left_alone() const { return left_alone_; }
  /// By a member in its steps: this turn is taken by a thread that stands in for the own one.
  bool borrowed() const { return is_borrowed_; }
  /// The calling thread has the turns: it is the connection's, or stands in for it.
  bool in_own_thread() const { return std::this_thread::get_id() == thread_id_.load(); }

  /// The link. REQUIRES: called in the connection's own thread, or when it does not run.
  wire::Link& link() { return link_; }

 private:
  enum class Rest : std::uint8_t {
    none,     ///< somebody works
    polling,  ///< whoever has the turns waits for frames, or is about to
    left,     ///< nobody has the turns, and the own thread looks again after a while
  };

  void run();
  void turn();
  void poll(std::int64_t until_us);
  void enter(bool borrows);
  void leave();
  /// Nobody need have the turns: nothing is expected, and nothing is under way.
  bool may_leave() const { return lend_ && idle_ && dealer_.settled(); }
  void give_up(std::unique_lock<std::mutex>& turns);
  void look_later(std::unique_lock<std::mutex>& turns);
  void sleep(std::uint32_t how, std::int64_t for_us);
  void take_back();
  void run_posted();
  void receive();
  void send();
  void finish();

  ConnectionOptions options_;
  std::function<bool()> others_come_;
  std::function<void()> while_left_;
  std::function<void()> before_leaving_;
  std::mutex turns_;  ///< whoever has the turns holds it; all up to mutex_ is theirs
  bool lend_ = false;
  bool idle_ = false;
  bool left_alone_ = false;
  bool is_borrowed_ = false;
  zmtp::Dealer dealer_;
  wire::Link link_;
  wire::LinkOut out_;
  std::mutex mutex_;
  std::vector<Task> posted_;      ///< guarded by mutex_
  bool stopped_ = false;          ///< guarded by mutex_: nothing posted any more is run
  std::vector<Task> running_;         ///< of whoever has the turns
  std::atomic<bool> stopping_{false};
  std::atomic<Rest> rest_{Rest::none};  ///< a wake-up is needed
  std::atomic<bool> again_{false};      ///< wake() was called since the turn began
  std::atomic<bool> wanted_{false};     ///< the own thread is to have the turns
  std::atomic<std::uint32_t> borrowed_{0};  ///< how often others had them
  std::atomic<std::uint32_t> sleeps_{0};    ///< the own thread does, on it, while turns are lent
  std::atomic<std::thread::id> thread_id_{};   ///< of whoever has the turns
  std::thread thread_;
};

}  // namespace callboard::client
