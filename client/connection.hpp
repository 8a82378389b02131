// The thread, socket and timers of one connection to a broker.
//
// Thread safety: post(), wake() and stop() from any thread; the rest before start() or by the
// owner. Members are stepped in the connection's own thread only, so they need no locks.
//
// A turn of its loop: run what was posted, take the frames that have arrived, let every member
// write what gathered (LinkMember::on_tick), send it in as few frames as possible, sleep until a
// frame, a wake-up or the next deadline.
//
// A worker process makes one, adds its worker session (Side::worker), makes a client core over it
// for the calls that its methods make (which adds itself, Side::client), and starts it.
#pragma once

#include "common/link.hpp"
#include "common/time.hpp"
#include "common/zmq_dealer.hpp"

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
  bool in_own_thread() const { return std::this_thread::get_id() == thread_id_.load(); }

  /// The link. REQUIRES: called in the connection's own thread, or when it does not run.
  wire::Link& link() { return link_; }

 private:
  void run();
  void turn();
  void run_posted();
  void receive();
  void send();
  void finish();

  ConnectionOptions options_;
  wire::ZmqDealer dealer_;
  wire::Link link_;
  wire::LinkOut out_;
  std::mutex mutex_;
  std::vector<Task> posted_;      ///< guarded by mutex_
  bool stopped_ = false;          ///< guarded by mutex_: nothing posted any more is run
  std::vector<Task> running_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> sleeping_{false};  ///< the loop waits, or is about to: a wake-up is needed
  std::atomic<bool> again_{false};     ///< wake() was called since the turn began
  std::atomic<std::thread::id> thread_id_{};
  std::thread thread_;
};

}  // namespace callboard::client
