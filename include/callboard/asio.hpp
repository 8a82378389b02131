// Opt-in: coroutines. co_await of a Future from any Asio executor, and what a source needs that
// defines methods which return callboard::Async<T>.
//
//   callboard::Async<std::string> Counter::fetch(std::string url) {
//     auto page = co_await callboard::this_call().client().call(fetch_task, url);
//     co_return page;
//   }
//
// The coroutine goes on through its own executor, never in the client's thread. What the call
// failed with is thrown at the co_await. In coroutines of other types, and for other completion
// tokens: co_await callboard::async_get(future, boost::asio::use_awaitable).
#pragma once

#include <callboard/description.hpp>
#include <callboard/future.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace callboard {

namespace detail {

/// A handler that waits for a future, with its executor kept busy for it. Cancelling the handler
/// ends the wait, not the call.
template <class T, class Handler>
class FutureWait {
 public:
  FutureWait(Future<T> future, Handler handler)
      : future_(std::move(future)), handler_(std::move(handler)),
        work_(boost::asio::get_associated_executor(handler_)) {}

  static void start(std::shared_ptr<FutureWait> wait) {
    auto slot = boost::asio::get_associated_cancellation_slot(wait->handler_);
    if (slot.is_connected()) {
      slot.assign([weak = std::weak_ptr(wait)](boost::asio::cancellation_type type) {
        if (type == boost::asio::cancellation_type::none) return;
        if (auto waiting = weak.lock()) end(std::move(waiting), true);
      });
    }
    const auto state = wait->future_.state();
    notify_when_ready(state, [wait = std::move(wait)]() mutable { end(std::move(wait), false); });
  }

 private:
  /// In whatever thread: only passes on to the handler's own executor. The first end counts.
  static void end(std::shared_ptr<FutureWait> wait, bool cancelled) {
    if (wait->ended_.exchange(true)) return;
    // Held until post() has returned: otherwise the handler could run, and the loop that has
    // nothing more to do could be gone, while post() still touches it.
    const auto work = std::move(wait->work_);
    boost::asio::post(work.get_executor(),
                      [wait = std::move(wait), cancelled] { wait->complete(cancelled); });
  }

  /// Throws what the call failed with, or that nobody waits for it any more.
  static T value_of(const Future<T>& future, bool cancelled) {
    if (cancelled) throw boost::system::system_error(boost::asio::error::operation_aborted);
    return future.get();
  }

  void complete(bool cancelled) {
    const Future<T> future = std::move(future_);
    Handler handler = std::move(handler_);
    std::exception_ptr error;
    if constexpr (std::is_void_v<T>) {
      try {
        value_of(future, cancelled);
      } catch (...) {
        error = std::current_exception();
      }
      std::move(handler)(error);
    } else {
      T value{};
      try {
        value = value_of(future, cancelled);
      } catch (...) {
        error = std::current_exception();
      }
      std::move(handler)(error, std::move(value));
    }
  }

  using Executor = boost::asio::associated_executor_t<Handler>;
  Future<T> future_;
  Handler handler_;
  boost::asio::executor_work_guard<Executor> work_;
  std::atomic<bool> ended_{false};
};

template <class T>
struct WaitSignature {
  using Type = void(std::exception_ptr, T);
};
template <>
struct WaitSignature<void> {
  using Type = void(std::exception_ptr);
};

}  // namespace detail

/// Waits for a future in the manner of any Asio completion token, with the signature
/// void(std::exception_ptr, T), or void(std::exception_ptr) for Future<void>. When it is cancelled
/// in the manner of Asio, the wait ends with operation_aborted; the call goes on.
template <class T, class Token>
auto async_get(const Future<T>& future, Token&& token) {
  return boost::asio::async_initiate<Token, typename detail::WaitSignature<T>::Type>(
      [](auto handler, Future<T> waited) {
        using Wait = detail::FutureWait<T, std::decay_t<decltype(handler)>>;
        Wait::start(std::make_shared<Wait>(std::move(waited), std::move(handler)));
      },
      token, future);
}

/// A coroutine of Asio in which callboard futures can be awaited as well.
template <class T>
class [[nodiscard]] Async : public boost::asio::awaitable<T> {
 public:
  explicit Async(boost::asio::awaitable<T>&& coroutine)
      : boost::asio::awaitable<T>(std::move(coroutine)) {}
};

/// The outermost coroutine of a call, which is what Asio calls a thread.
template <>
class [[nodiscard]] Async<detail::WholeCall>
    : public boost::asio::awaitable<boost::asio::detail::awaitable_thread_entry_point> {
 public:
  using Base = boost::asio::awaitable<boost::asio::detail::awaitable_thread_entry_point>;
  explicit Async(Base&& coroutine) : Base(std::move(coroutine)) {}
};

namespace detail {

/// Another coroutine, waited for from one whose promise Asio does not know by name.
template <class V>
struct AwaitCoroutine {
  boost::asio::awaitable<V> coroutine;

  bool await_ready() const noexcept { return coroutine.await_ready(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiter) {
    using Base = typename Promise::Base;
    // Asio only asks the handle for its promise, which is the same object.
    coroutine.await_suspend(std::coroutine_handle<Base>::from_promise(waiter.promise()));
  }
  V await_resume() { return coroutine.await_resume(); }
};

/// Asio's promise, with one more thing that can be awaited.
template <class T, class Frame = T>
class AsyncPromise
    : public boost::asio::detail::awaitable_frame<Frame, boost::asio::any_io_executor> {
 public:
  using Base = boost::asio::detail::awaitable_frame<Frame, boost::asio::any_io_executor>;
  using Base::await_transform;

  static void* operator new(std::size_t bytes) { return take_frame(bytes); }
  static void operator delete(void* frame, std::size_t bytes) { give_frame(frame, bytes); }

  Async<T> get_return_object() noexcept {
    Async<T> made(Base::get_return_object());
    this->coro_ = std::coroutine_handle<AsyncPromise>::from_promise(*this);
    return made;
  }
  template <class V>
  auto await_transform(boost::asio::awaitable<V> coroutine) {
    return AwaitCoroutine<V>{Base::await_transform(std::move(coroutine))};
  }
  template <class V>
  auto await_transform(Async<V>&& coroutine) {
    return await_transform(boost::asio::awaitable<V>(std::move(coroutine)));
  }
  template <class V>
  auto await_transform(const Future<V>& future) {
    return await_transform(async_get(future, boost::asio::use_awaitable));
  }
  template <class V>
  auto await_transform(Future<V>& future) {
    return await_transform(std::as_const(future));
  }
  template <class V>
  auto await_transform(Future<V>&& future) {
    return await_transform(std::as_const(future));
  }
};

/// Of a whole call: what is thrown, and the end, is told to the call.
class CallPromise
    : public AsyncPromise<WholeCall, boost::asio::detail::awaitable_thread_entry_point> {
 public:
  template <class Invocation>
  CallPromise(void* /*self*/, Invocation& call) : end_(call.coroutine_end) {}

  Async<WholeCall> get_return_object() noexcept {
    Async<WholeCall> made = AsyncPromise::get_return_object();
    this->coro_ = std::coroutine_handle<CallPromise>::from_promise(*this);
    return made;
  }
  void unhandled_exception() noexcept { end_->failed(); }
  auto final_suspend() noexcept {
    end_->ended();
    return AsyncPromise::final_suspend();
  }

 private:
  CoroutineEnd* const end_;
};

}  // namespace detail

}  // namespace callboard

template <class... Args>
struct std::coroutine_traits<callboard::Async<callboard::detail::WholeCall>, Args...> {
  using promise_type = callboard::detail::CallPromise;
};

template <class T, class... Args>
struct std::coroutine_traits<callboard::Async<T>, Args...> {
  using promise_type = callboard::detail::AsyncPromise<T>;
};
