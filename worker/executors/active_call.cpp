#include "worker/executors/active_call.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <bit>

namespace callboard::worker {

namespace {

/// Submitted, and neither ended nor taken back.
bool is_here(const ActiveCall& call) {
  const ActiveCall::State state = call.state.load(std::memory_order_acquire);
  return state == ActiveCall::State::queued || state == ActiveCall::State::running;
}

}  // namespace

void CallReference::drop_shared() noexcept {
  if (call_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  call_->pool->last_reference_gone(*call_);
}

void CallPool::refresh() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return spare_.swap(freed_);
  spare_.insert(spare_.end(), freed_.begin(), freed_.end());
  freed_.clear();
}

/// The spare ones have gone: those that were freed since, or new ones.
void CallPool::get_spare() {
  refresh();
  if (!spare_.empty()) return;
  const std::size_t calls = chunk_calls(chunks_.size());
  chunks_.push_back(std::make_unique<ActiveCall[]>(calls));
  made_ += calls;
  if (made_ * 2 > by_lease_.size()) make_index();
  for (std::size_t i = calls; i > 0; --i) {
    chunks_.back()[i - 1].pool = this;
    spare_.push_back(&chunks_.back()[i - 1]);
  }
}

/// Leases are given out one after the other, so that few that are here meet in one place.
void CallPool::make_index() {
  const std::size_t places = std::bit_ceil(std::max<std::size_t>(made_, 1) * 4);
  by_lease_.assign(places, nullptr);
  for_each([this, places](ActiveCall& call) {
    if (is_here(call)) by_lease_[call.job.lease & (places - 1)] = &call;
    return false;
  });
}

/// Until the next acquire(): whoever stops thousands of actors looks through all calls once.
void CallPool::sort_by_lane() {
  if (!by_lane_.empty()) return;
  for_each([this](ActiveCall& call) {
    by_lane_.push_back(&call);
    return false;
  });
  std::sort(by_lane_.begin(), by_lane_.end(), [](const ActiveCall* a, const ActiveCall* b) {
    return std::less<const Lane*>()(a->lane, b->lane);
  });
}

ActiveCall* CallPool::find(std::uint64_t lease) {
  if (by_lease_.empty()) return nullptr;
  ActiveCall* found = by_lease_[lease & (by_lease_.size() - 1)];
  if (found == nullptr) return nullptr;
  if (found->job.lease == lease) return is_here(*found) ? found : nullptr;
  found = nullptr;
  for_each([&](ActiveCall& call) {
    if (call.job.lease == lease && is_here(call)) found = &call;
    return found != nullptr;
  });
  return found;
}

// Leaves Job::lease alone: the I/O thread may be looking for one.
[[gnu::always_inline]] inline void CallPool::clear(ActiveCall& call) {
  call.job.ticket = 0;
  drop_arguments(call);
  call.job.options.trim(kSpareBytesMax);
  if (call.options) call.options.reset();
  call.lingers = false;
  call.state.store(ActiveCall::State::free, std::memory_order_release);
}

void CallPool::release(CallQueue& ended) {
  CallQueue free;
  CallQueue referred;
  while (ActiveCall* call = ended.pop_front()) {
    call->count_together();
    // Nobody can add a reference to a call that only we refer to.
    if (call->references.load(std::memory_order_acquire) == 1) {
      clear(*call);
      free.push_back(*call);
    } else {
      referred.push_back(*call);
    }
  }
  const std::lock_guard lock(mutex_);
  while (ActiveCall* call = free.pop_front()) freed_.push_back(call);
  if (referred.empty()) return;
  while (ActiveCall* call = referred.pop_front()) {
    // Decided under the lock, so that whoever drops the last reference sees that it lingers.
    call->lingers = true;
    ++lingering_;
    if (call->references.fetch_sub(1, std::memory_order_acq_rel) != 1) continue;
    --lingering_;
    clear(*call);
    freed_.push_back(call);
  }
}

void CallPool::last_reference_gone(ActiveCall& call) {
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    CALLBOARD_CHECK(call.lingers);
    --lingering_;
    clear(call);
    freed_.push_back(&call);
    last = closed_ && lingering_ == 0;
  }
  if (last) delete this;
}

void CallPool::close() {
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    last = lingering_ == 0;
  }
  if (last) delete this;
}

}  // namespace callboard::worker
