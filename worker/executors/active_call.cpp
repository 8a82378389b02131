#include "worker/executors/active_call.hpp"

#include "common/check.hpp"

namespace callboard::worker {

namespace {

void trim(std::string& buffer, std::size_t bytes_max) {
  if (buffer.capacity() > bytes_max) {
    std::string().swap(buffer);
  } else {
    buffer.clear();
  }
}

}  // namespace

void CallReference::drop() noexcept {
  if (call_ == nullptr) return;
  if (call_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  call_->pool->last_reference_gone(*call_);
}

void CallPool::refresh() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return spare_.swap(freed_);
  spare_.insert(spare_.end(), freed_.begin(), freed_.end());
  freed_.clear();
}

ActiveCall& CallPool::acquire() {
  if (spare_.empty()) refresh();
  if (spare_.empty()) {
    const std::size_t calls = chunk_calls(chunks_.size());
    chunks_.push_back(std::make_unique<ActiveCall[]>(calls));
    for (std::size_t i = calls; i > 0; --i) {
      chunks_.back()[i - 1].pool = this;
      spare_.push_back(&chunks_.back()[i - 1]);
    }
  }
  ActiveCall& call = *spare_.back();
  spare_.pop_back();
  if (spare_.size() >= kAhead) {
    prefetch_to_write(spare_[spare_.size() - kAhead], sizeof(ActiveCall));
  }
  call.references.store(1, std::memory_order_relaxed);
  // Here and not when it was freed: I/O may have asked it to stop in the moment in which it ended.
  call.running.cancel_requested.store(false, std::memory_order_relaxed);
  return call;
}

void CallPool::release(CallQueue& ended) {
  CallQueue free;
  CallQueue referred;
  while (ActiveCall* call = ended.pop_front()) {
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

void CallPool::drop_arguments(ActiveCall& call) {
  if (call.job.args.part) call.job.args.part = Blob();
  trim(call.job.args.text, kSpareBytesMax);
}

// Leaves Job::lease alone: the I/O thread may be looking for one.
void CallPool::clear(ActiveCall& call) {
  call.job.ticket = 0;
  drop_arguments(call);
  trim(call.job.options, kSpareBytesMax);
  call.options.reset();
  call.lingers = false;
  call.state.store(ActiveCall::State::free, std::memory_order_release);
}

}  // namespace callboard::worker
