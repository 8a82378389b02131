#include "client/callbacks.hpp"

#include <utility>

namespace callboard::client {

void Callbacks::run(std::function<void()> function) {
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->stopping) {
      state_->functions.push_back(std::move(function));
      if (!thread_.joinable()) thread_ = std::thread([state = state_] { work(state); });
      state_->changed.notify_one();
      return;
    }
  }
  function();
}

void Callbacks::stop() {
  std::thread thread;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_one();
    thread = std::move(thread_);
  }
  if (!thread.joinable()) return;
  if (thread.get_id() == std::this_thread::get_id()) thread.detach();
  else thread.join();
}

void Callbacks::work(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  for (;;) {
    state->changed.wait(lock, [&] { return state->stopping || !state->functions.empty(); });
    if (state->functions.empty()) return;
    std::function<void()> function = std::move(state->functions.front());
    state->functions.pop_front();
    lock.unlock();
    function();
    function = nullptr;  // what it held goes without the lock
    lock.lock();
  }
}

}  // namespace callboard::client
