#include "worker/executors/lane_threads.hpp"

#include "worker/executors/lane_thread.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace callboard::worker {

namespace {

using std::chrono::microseconds;

/// How long ready work stands before the watcher makes a thread for it.
constexpr microseconds kLookEvery{500};
/// Shorter work is not asked whether it has slept: that costs a system call.
constexpr std::int64_t kShortUs = 200;
constexpr std::chrono::seconds kIdleMax{2};

thread_local LaneThreads* threads_here = nullptr;
thread_local long waits_for_work = 0;
thread_local long sleeps_seen = 0;

std::size_t processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return std::thread::hardware_concurrency();
  return static_cast<std::size_t>(CPU_COUNT(&set));
}

/// Whether this thread has given up its processor by itself, other than to wait for work, since it
/// was asked last.
bool has_slept() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  const long sleeps = usage.ru_nvcsw - waits_for_work;
  return sleeps > std::exchange(sleeps_seen, sleeps);
}

}  // namespace

LaneThreads* LaneThreads::here() { return threads_here; }

LaneThreads::LaneThreads(std::function<void()> prepare, std::size_t threads_max)
    : prepare_(std::move(prepare)),
      max_(threads_max),
      kept_(std::min(threads_max, std::max<std::size_t>(processors(), 2))) {}

LaneThreads::~LaneThreads() {
  std::vector<std::thread> all;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    all.swap(retired_);
    for (auto& [id, thread] : threads_) all.push_back(std::move(thread));
    threads_.clear();
    if (watcher_.joinable()) all.push_back(std::move(watcher_));
    for (Idle* idle : idle_) idle->called.notify_one();
  }
  stood_.notify_all();
  for (std::thread& thread : all) thread.join();
}

std::size_t LaneThreads::threads() const {
  const std::lock_guard lock(mutex_);
  return alive_;
}

LaneThreads::Wakeup LaneThreads::ready(Work& work) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(&work);
  try {
    if (alive_ == 0) make_thread();
  } catch (const std::system_error&) {
    queue_.pop_back();
    throw;
  }
  waiting_.store(queue_.size(), std::memory_order_relaxed);
  return call_help();
}

void LaneThreads::blocks(bool begins) {
  Wakeup wakeup;
  const std::lock_guard lock(mutex_);
  begins ? ++blocked_ : --blocked_;
  if (begins) wakeup = call_help();
}

/// There is work: calls a thread, or makes one. One at a time: it calls the next if some is left.
LaneThreads::Wakeup LaneThreads::call_help() {
  if (queue_.empty() || coming_) return {};
  if (!idle_.empty()) {
    coming_ = true;
    Idle& idle = *idle_.back();
    idle_.pop_back();
    idle.is_called = true;
    return Wakeup(idle);
  }
  if (alive_ < std::min(wanted(), max_)) {
    try_make_thread();
  } else if (alive_ < max_) {
    wake_watcher();
  }
  return {};
}

void LaneThreads::wake_watcher() {
  if (std::exchange(watcher_sleeps_, false)) return stood_.notify_one();
  if (watcher_.joinable()) return;
  try {
    watcher_ = std::thread([this] { watch(); });
  } catch (const std::system_error&) {  // tried again with the next work
  }
}

void LaneThreads::make_thread() {
  for (std::thread& thread : retired_) thread.join();
  retired_.clear();
  std::thread thread([this] { run(); });
  const std::thread::id id = thread.get_id();
  threads_.emplace(id, std::move(thread));
  ++alive_;
  coming_ = true;
}

bool LaneThreads::try_make_thread() {
  try {
    make_thread();
  } catch (const std::system_error&) {
    return false;  // those that are there do the work
  }
  return true;
}

void LaneThreads::run() {
  threads_here = this;
  prepare_();
  std::unique_lock lock(mutex_);
  coming_ = false;
  while (next(lock)) run_one(lock);
  retire();
}

LaneThreads::Idle& LaneThreads::begin_waiting() {
  if (free_places_.empty()) free_places_.push_back(&places_.emplace_back());
  Idle& place = *free_places_.back();
  free_places_.pop_back();
  place.is_called = false;
  idle_.push_back(&place);
  return place;
}

/// Waits for work. False when this thread is to end.
bool LaneThreads::next(std::unique_lock<std::mutex>& lock) {
  while (queue_.empty()) {
    if (stopping_) return false;
    ++waits_for_work;
    Idle& idle = begin_waiting();
    const auto is_over = [&] { return idle.is_called || stopping_; };
    if (alive_ <= wanted()) {
      idle.called.wait(lock, is_over);
    } else {
      idle.called.wait_for(lock, kIdleMax, is_over);
    }
    free_places_.push_back(&idle);
    if (idle.is_called) {
      coming_ = false;
      continue;
    }
    std::erase(idle_, &idle);
    if (alive_ > wanted()) return false;
  }
  return true;
}

void LaneThreads::run_one(std::unique_lock<std::mutex>& lock) {
  Work& work = *queue_.front();
  queue_.pop_front();
  waiting_.store(queue_.size(), std::memory_order_relaxed);
  ++taken_;
  {
    const Wakeup wakeup = call_help();
    lock.unlock();
  }
  const std::int64_t began_us = steady_now_us();
  work.run();
  const bool slept = steady_now_us() - began_us >= kShortUs && has_slept();
  lock.lock();
  if (slept) ++slept_;
}

void LaneThreads::retire() {
  --alive_;
  const auto mine = threads_.find(std::this_thread::get_id());
  if (mine == threads_.end()) return;  // the destructor joins it
  retired_.push_back(std::move(mine->second));
  threads_.erase(mine);
}

void LaneThreads::watch() {
  std::unique_lock lock(mutex_);
  std::size_t more = 0;
  while (!stopping_) {
    if (!stands_still()) {
      more = 0;
      watcher_sleeps_ = true;
      stood_.wait(lock, [this] { return stopping_ || !watcher_sleeps_; });
      continue;
    }
    const std::uint64_t taken = taken_;
    const std::uint64_t slept = slept_;
    stood_.wait_for(lock, kLookEvery, [this] { return stopping_; });
    const bool goes_on = taken_ != taken && slept_ == slept;
    if (!stands_still() || goes_on) {
      more = 0;
      continue;
    }
    more = std::min(std::max<std::size_t>(1, 2 * more), queue_.size());
    for (std::size_t i = 0; i < more && alive_ < max_; ++i) {
      if (!try_make_thread()) break;
    }
  }
}

}  // namespace callboard::worker
