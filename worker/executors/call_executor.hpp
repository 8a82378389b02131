// The executor that a coroutine method runs on: its loop's own, with the call around every handler.
//
// A coroutine comes back to its executor after each wait, whatever it waited for, and whatever it
// starts with this_coro::executor inherits it. So this_call(), the crash handler and the stall
// meter are right in every piece of it, however many coroutines take turns on the loop.
//
// It is small enough that any_io_executor keeps it without allocating. It refers to its call, and
// the call to its loop, so whoever keeps an executor beyond the end of its actor does no harm: what
// is posted to it then is destroyed instead of run.
//
// Thread safety: like the executor inside.
#pragma once

#include "common/prefetch.hpp"
#include "worker/context.hpp"
#include "worker/executors/active_call.hpp"
#include "worker/executors/loop_watch.hpp"

#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>

#include <atomic>
#include <exception>
#include <utility>

namespace callboard::worker {

/// Told on the loop's thread of each piece of a coroutine that has run.
class PieceWatcher {
 public:
  /// `outermost`: no other piece is interrupted by it.
  virtual void piece_over(bool outermost) = 0;

 protected:
  ~PieceWatcher() = default;
};

/// What an executor needs of its loop.
struct LoopState {
  LoopMeter meter;
  PieceWatcher& watcher;  ///< there until `closed`
  std::atomic<bool> closed{false};
};

template <class Inner>
class CallExecutor {
 public:
  CallExecutor(Inner inner, CallReference call, LoopState& loop) noexcept
      : inner_(std::move(inner)), call_(std::move(call)), loop_(&loop) {}

  template <class Property>
    requires boost::asio::can_query_v<const Inner&, Property>
  decltype(auto) query(const Property& property) const
      noexcept(boost::asio::is_nothrow_query_v<const Inner&, Property>) {
    return boost::asio::query(inner_, property);
  }

  template <class Property>
    requires boost::asio::can_require_v<const Inner&, Property>
  auto require(const Property& property) const {
    auto inner = boost::asio::require(inner_, property);
    return CallExecutor<decltype(inner)>(std::move(inner), call_, *loop_);
  }
  /// The loop does not end for want of work, so nothing need be counted.
  CallExecutor require(boost::asio::execution::outstanding_work_t::tracked_t) const {
    return *this;
  }

  template <class Function>
  void execute(Function&& function) const {
    if (loop_->closed.load(std::memory_order_acquire)) return;
    if (runs_at_once()) return run_at_once(std::forward<Function>(function));
    inner_.execute([call = call_, loop = loop_, run = std::forward<Function>(function)]() mutable {
      run_piece(*call.get(), *loop, std::move(run));
    });
  }

  friend bool operator==(const CallExecutor& a, const CallExecutor& b) noexcept {
    return a.inner_ == b.inner_ && a.call_.get() == b.call_.get();
  }
  friend bool operator!=(const CallExecutor& a, const CallExecutor& b) noexcept {
    return !(a == b);
  }

 private:
  template <class Function>
  static void run_piece(ActiveCall& call, LoopState& loop, Function&& run) {
    bool outermost = false;
    prefetch_to_write(&call, sizeof(ActiveCall));  // it may be the last piece
    {
      const LoopMeter::Scope busy(loop.meter, call.method);
      const RunningScope scope(call);
      std::forward<Function>(run)();
      outermost = busy.outermost();
    }
    loop.watcher.piece_over(outermost);
  }

  /// As the executor inside would.
  bool runs_at_once() const {
    return boost::asio::query(inner_, boost::asio::execution::blocking) !=
               boost::asio::execution::blocking.never &&
           inner_.running_in_this_thread();
  }
  template <class Function>
  void run_at_once(Function&& function) const {
    const Inner inner = inner_;
    CallReference kept;  // of a call that runs the lane has one
    if (call_->state.load(std::memory_order_relaxed) != ActiveCall::State::running) kept = call_;
    try {
      auto run = std::forward<Function>(function);
      run_piece(*call_.get(), *loop_, std::move(run));
    } catch (...) {  // is thrown where the loop is run, as if it had been posted
      boost::asio::post(inner, [thrown = std::current_exception()] {
        std::rethrow_exception(thrown);
      });
    }
  }

  Inner inner_;
  CallReference call_;
  LoopState* loop_;
};

}  // namespace callboard::worker
