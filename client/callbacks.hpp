// The thread that runs what users gave to then().
//
// Thread safety: all of it. The thread starts with the first function and runs one after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace callboard::client {

class Callbacks {
 public:
  Callbacks() : state_(std::make_shared<State>()) {}
  /// stop()
  ~Callbacks() { stop(); }
  Callbacks(const Callbacks&) = delete;
  Callbacks& operator=(const Callbacks&) = delete;

  /// Runs `function` soon; at once and in this thread after stop().
  void run(std::function<void()> function);
  /// Lets the thread finish what it was given, and waits for it, unless this is the thread itself.
  void stop();

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> functions;
    bool stopping = false;
  };
  static void work(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;  ///< outlives this when a function ends its own client
  std::thread thread_;                  ///< guarded by state_->mutex
};

}  // namespace callboard::client
