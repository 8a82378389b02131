#include "worker/executors/lane_threads.hpp"

#include "common/clock.hpp"
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

/// How long ready work stands before the watcher calls or makes a thread for it.
constexpr microseconds kLookEvery{500};
/// Shorter work is not asked whether it has slept: that costs a system call.
constexpr std::int64_t kShortUs = 200;
/// What waits for a thread is done by it in this time, or another one is worth waking: they get in
/// each other's way, and what they share goes from one processor's cache to the other's.
constexpr std::int64_t kWorthwhileNs = 500'000;
/// A thread takes as much as it does in this time.
constexpr std::int64_t kHandNs = 100'000;
/// What took longer says no more of what comes next.
constexpr std::int64_t kWorkMaxNs = 10'000'000;
/// Weight of the newest work in the average: 1/4.
constexpr std::int64_t kNewestWeight = 4;
constexpr std::chrono::seconds kIdleMax{2};

thread_local LaneThreads* threads_here = nullptr;
thread_local bool spends_here = false;  ///< it has the pastime of threads_here
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

thread_local LaneThreads::Hand* LaneThreads::hand_here_ = nullptr;

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
    if (spends_) pastime_->look();
  }
  stood_.notify_all();
  for (std::thread& thread : all) thread.join();
}

void LaneThreads::Wakeup::wake() {
  if (idle_ != nullptr) idle_->called.notify_one();
  if (pastime_ != nullptr) pastime_->look();
}

LaneThreads::Gather::Gather(LaneThreads& threads) : threads_(threads) { gathers_here_ = this; }

LaneThreads::Gather::~Gather() {
  gathers_here_ = nullptr;
  if (works_.empty()) return;
  Wakeup wakeup;  // once the lock is free that the thread takes first
  const std::lock_guard lock(threads_.mutex_);
  try {
    wakeup = threads_.make_ready(works_);
  } catch (const std::system_error&) {  // it waits for the next that is made ready
  }
}

std::size_t LaneThreads::threads() const {
  const std::lock_guard lock(mutex_);
  return alive_;
}

bool LaneThreads::crowded() const {
  if (waiting_.load(std::memory_order_relaxed) > 0) return true;
  return threads_here == this && hand_here_->left() > 0;
}

LaneThreads::Wakeup LaneThreads::ready_now(const Ready& ready) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(ready);
  return call_for(1);
}

LaneThreads::Wakeup LaneThreads::make_ready(ReadyList& works) {
  const std::size_t count = works.size();
  queue_.append(works);
  return call_for(count);
}

/// So many have come into the queue. They stay there, also where this throws because there is no
/// thread; but a single one is given back.
LaneThreads::Wakeup LaneThreads::call_for(std::size_t count) {
  try {
    if (alive_ == 0) make_thread();
  } catch (const std::system_error&) {
    if (count == 1 && queue_.size() == 1) queue_.clear();
    throw;
  }
  waiting_.store(queue_.size());
  // It comes for it, but others will not be called while it seems to be at work.
  if (spends_ && !comes_by_itself()) return Wakeup(*pastime_);
  return call_help();
}

/// The calling thread has our pastime, and looks at the queue when it leaves it.
bool LaneThreads::comes_by_itself() const { return spends_here && threads_here == this; }

void LaneThreads::blocks(bool begins) {
  Wakeup wakeup;
  const std::lock_guard lock(mutex_);
  begins ? ++blocked_ : --blocked_;
  if (begins) wakeup = call_help();
}

/// There may be work that no thread comes for: sees to it that one does, if it is worth it.
LaneThreads::Wakeup LaneThreads::call_help() {
  std::size_t waits = queue_.size();
  if (threads_here == this) waits += hand_here_->left();
  if (comes_by_itself() && waits > 0) --waits;  // it takes one itself
  if (waits == 0 || coming_) return {};
  const bool at_work = alive_ > idle_.size() + blocked_ + stuck_;
  const auto worth_ns = static_cast<std::int64_t>(waits) * work_ns_;
  if (at_work && worth_ns < kWorthwhileNs) {
    // It sees whether they do come.
    if (!comes_by_itself() && !looked_after_.load()) wake_watcher();
    return {};
  }
  return call_thread();
}

/// Calls a thread, or makes one. One at a time: it calls the next if it is worth it.
LaneThreads::Wakeup LaneThreads::call_thread() {
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
  Hand& hand = begin_hand();
  hand_here_ = &hand;
  bool called = true;
  while (next(lock, called)) {
    called = false;
    run_hand(lock, hand);
  }
  hand.used = false;
  retire();
}

LaneThreads::Hand& LaneThreads::begin_hand() {
  for (Hand& hand : hands_) {
    if (std::exchange(hand.used, true)) continue;
    return hand;
  }
  Hand& hand = hands_.emplace_back();
  hand.used = true;
  return hand;
}

LaneThreads::Idle& LaneThreads::begin_waiting() {
  if (free_places_.empty()) free_places_.push_back(&places_.emplace_back());
  Idle& place = *free_places_.back();
  free_places_.pop_back();
  place.is_called = false;
  idle_.push_back(&place);
  return place;
}

/// Waits for work. False when this thread is to end. `called`: it was called because of work that
/// others may have in their hands.
bool LaneThreads::next(std::unique_lock<std::mutex>& lock, bool called) {
  for (;;) {
    if (queue_.empty() && called) empty_hands();
    if (!queue_.empty()) return true;
    if (stopping_) return false;
    called = false;
    if (pastime_ != nullptr && !spends_) {
      spend(lock);
      if (!queue_.empty()) return true;
      if (stopping_) return false;
    }
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
      called = true;
      continue;
    }
    std::erase(idle_, &idle);
    if (alive_ > wanted()) return false;
  }
}

void LaneThreads::spend(std::unique_lock<std::mutex>& lock) {
  spends_ = true;
  lock.unlock();
  spends_here = true;
  pastime_->spend([this] { return waiting_.load() > 0 || stopping_.load(); });
  spends_here = false;
  lock.lock();
  spends_ = false;
}

/// What threads have taken and not begun goes back into the queue.
void LaneThreads::empty_hands() {
  for (Hand& hand : hands_) {
    for (Ready left = hand.take(); left.work != nullptr; left = hand.take()) {
      queue_.push_back(left);
    }
  }
  waiting_.store(queue_.size(), std::memory_order_relaxed);
}

/// Takes what is done in a short time, and leaves half to others.
void LaneThreads::fill(Hand& hand) {
  const auto bound = static_cast<std::size_t>(kHandNs / std::max<std::int64_t>(work_ns_, 1));
  const std::size_t most = std::clamp<std::size_t>(bound, 1, Hand::kMax);
  const std::size_t count = std::min(most, (queue_.size() + 1) / 2);
  for (std::size_t i = 0; i < count; ++i) hand.works[i] = queue_.pop_front();
  hand.count = static_cast<std::uint32_t>(count);
  hand.next.store(0, std::memory_order_relaxed);
  waiting_.store(queue_.size(), std::memory_order_relaxed);
}

void LaneThreads::run_hand(std::unique_lock<std::mutex>& lock, Hand& hand) {
  hand.busy = true;
  ++busy_;  // before the queue seems to be empty
  fill(hand);
  Work* work = hand.take().work;  // what it begins now does not wait for anybody
  {
    const Wakeup wakeup = call_help();
    lock.unlock();
  }
  Turn turn{steady_us()};
  std::int64_t began_us = turn.now_us;
  std::int64_t works = 0;
  for (; work != nullptr; work = hand.take().work) {
    hand.begun.store(hand.begun.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    ++works;
    hand.prefetch();
    const std::int64_t before_us = turn.now_us;
    work->run(turn);
    if (turn.now_us - before_us < kShortUs) continue;
    const bool slept = has_slept();
    lock.lock();
    if (slept) ++slept_;
    account(hand, turn.now_us - began_us, std::exchange(works, 0));
    began_us = turn.now_us;
    const Wakeup wakeup = call_help();
    lock.unlock();
  }
  if (turn.afterwards != nullptr) turn.afterwards();
  lock.lock();
  hand.busy = false;
  --busy_;
  account(hand, turn.now_us - began_us, works);
}

/// The thread of `hand` is back, and so much work took so long.
void LaneThreads::account(Hand& hand, std::int64_t took_us, std::int64_t works) {
  if (std::exchange(hand.stuck, false)) --stuck_;
  if (works == 0) return;
  const std::int64_t each_ns = std::min(took_us * 1000 / works, kWorkMaxNs);
  work_ns_ += (each_ns - work_ns_) / kNewestWeight;
}

void LaneThreads::retire() {
  --alive_;
  const auto mine = threads_.find(std::this_thread::get_id());
  if (mine == threads_.end()) return;  // the destructor joins it
  retired_.push_back(std::move(mine->second));
  threads_.erase(mine);
}

/// Work waits, and there are, or may be, threads that could come.
bool LaneThreads::stands_still() const {
  if (idle_.empty() && alive_ >= max_) return false;
  const auto waits = [](const Hand& hand) { return hand.left() > 0; };
  return !queue_.empty() || std::any_of(hands_.begin(), hands_.end(), waits);
}

/// Whether any thread has begun something since the last time; those that have not are stuck.
bool LaneThreads::has_moved() {
  bool moved = false;
  for (Hand& hand : hands_) {
    const std::uint64_t begun = hand.begun.load(std::memory_order_relaxed);
    if (std::exchange(hand.begun_seen, begun) != begun) {
      moved = true;
    } else if (hand.used && hand.busy && !hand.stuck) {
      hand.stuck = true;
      ++stuck_;
    }
  }
  return moved;
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
    const std::uint64_t slept = slept_;
    has_moved();
    stood_.wait_for(lock, kLookEvery, [this] { return stopping_.load(); });
    const bool goes_on = has_moved() && slept_ == slept;
    if (!stands_still() || goes_on) {
      more = 0;
      continue;
    }
    more = std::max<std::size_t>(1, 2 * more);
    help(more);
  }
}

void LaneThreads::look() {
  const std::lock_guard lock(mutex_);
  const bool goes_on = has_moved() && std::exchange(slept_seen_, slept_) == slept_;
  if (stands_still() && !goes_on) help(1);
}

void LaneThreads::set_looked_after(bool looked_after) {
  if (looked_after_.exchange(looked_after) == looked_after || looked_after) return;
  const std::lock_guard lock(mutex_);
  if (stands_still()) wake_watcher();
}

/// Up to `more` threads come, or are made.
void LaneThreads::help(std::size_t more) {
  for (more = std::min(more, waiting()); more > 0; --more) {
    if (!idle_.empty()) {
      const Wakeup wakeup = call_thread();
    } else if (alive_ >= max_ || !try_make_thread()) {
      return;
    }
  }
}

std::size_t LaneThreads::waiting() const {
  std::size_t waits = queue_.size();
  for (const Hand& hand : hands_) waits += hand.left();
  return waits;
}

}  // namespace callboard::worker
