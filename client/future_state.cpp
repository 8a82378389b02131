#include "client/future_state.hpp"

#include "client/client_core.hpp"
#include "common/clock.hpp"
#include "common/futex.hpp"

#include <callboard/context.hpp>

#include <chrono>
#include <thread>
#include <utility>

namespace callboard::client {

namespace {

/// A wait inside a call is told to the broker only when it lasts: most end before.
constexpr std::int64_t kAnnounceAfterUs = 2'000;
constexpr auto kNumberPause = std::chrono::microseconds(20);

std::atomic<std::uint32_t> any_changes{0};
std::atomic<std::uint32_t> any_sleepers{0};

}  // namespace

const std::shared_ptr<Core>& FutureState::core() const {
  static const std::shared_ptr<Core> none;
  return reference_ == nullptr ? none : reference_->core();
}

const std::shared_ptr<const void>& AnswerBytes::owner() const {
  // Never destroyed: futures may end after static objects.
  static const auto& nobody = *new std::shared_ptr<const void>;
  return kind_ == Kind::part ? part_.owner() : nobody;
}

void hold(FutureState& state) noexcept {
  state.holders_.fetch_add(1, std::memory_order_relaxed);
}

void let_go(FutureState& state) noexcept {
  // Who holds it alone needs to tell nobody.
  if (state.holders_.load(std::memory_order_acquire) == 1 ||
      state.holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete &state;
  }
}

FutureState::~FutureState() {
  Follower* follower = followers_.load();
  while (follower != nullptr && follower != closed()) {
    Follower* next = follower->next;
    let_go(follower);
    follower = next;
  }
  if (only_used_.load(std::memory_order_relaxed)) only_.~Follower();
  if (reference_ != nullptr) reference_->drop();
}

void FutureState::let_go(Follower* follower) {
  if (follower == &only_) {
    follower->function = nullptr;
  } else {
    delete follower;
  }
}

bool FutureState::wait_until(std::int64_t until_us) {
  for (;;) {
    std::uint32_t word = word_.load(std::memory_order_acquire);
    if ((word & kReady) != 0) return true;
    if ((word & kSleepers) == 0 &&
        !word_.compare_exchange_weak(word, word | kSleepers, std::memory_order_acq_rel)) {
      continue;
    }
    if (!futex_wait(word_, word | kSleepers, until_us)) return ready();
  }
}

namespace {

/// Tells the executor of the running call that its thread waits.
class Blocking {
 public:
  explicit Blocking(const callboard::detail::RunningCall* running)
      : tell_(running == nullptr ? nullptr : running->on_block) {
    if (tell_ != nullptr) tell_(true);
  }
  ~Blocking() {
    if (tell_ != nullptr) tell_(false);
  }
  Blocking(const Blocking&) = delete;
  Blocking& operator=(const Blocking&) = delete;

 private:
  void (*const tell_)(bool begins);
};

}  // namespace

bool FutureState::wait_as_call(std::int64_t until_us) {
  if (ready()) return true;
  Core* const core = this->core().get();
  if (core != nullptr && core->in_own_thread()) {
    throw_error({Errc::deadlock, {}, "a wait in the client's own thread would never end", {}, {}});
  }
  const callboard::detail::RunningCall* running = callboard::detail::current_call();
  if (running == nullptr && call_ && core != nullptr) {
    core->wait(*this, until_us);
    const bool done = wait_until(until_us);
    core->wait_ends();
    return done;
  }
  if (core != nullptr) core->hurry();
  const Blocking blocking(running);
  if (running == nullptr || !running->id || !call_ || core == nullptr) return wait_until(until_us);
  if (wait_until(std::min(until_us, steady_us_after(kAnnounceAfterUs)))) return true;
  const CallId other = id();
  core->announce_wait(running->id, other, true);
  const bool done = wait_until(until_us);
  core->announce_wait(running->id, other, false);
  return done;
}

ErrorInfo FutureState::error() const { return wire::decode_error(bytes(), status_); }

CallId FutureState::id_now() const {
  const std::uint64_t seq = seq_.load(std::memory_order_acquire);
  return {SessionId{seq == 0 ? 0 : session_.load(std::memory_order_relaxed)}, seq};
}

CallId FutureState::id() const {
  if (!call_) return {};
  Core* const core = this->core().get();
  if (core != nullptr && !id_now() && !ready()) core->hurry();
  while (seq_.load(std::memory_order_acquire) == 0 && !ready()) {
    if (core == nullptr || core->in_own_thread()) break;
    std::this_thread::sleep_for(kNumberPause);
  }
  return id_now();
}

bool FutureState::finish_error(Errc status, std::string message) {
  ErrorInfo error;
  error.code = status;
  error.message = std::move(message);
  const std::string bytes = wire::encode(error);
  return finish(status, {bytes, Blob()});
}

void FutureState::wake() { futex_wake_all(word_); }

void FutureState::run_all() {
  // They were pushed in front; what followed first runs first.
  Follower* first = nullptr;
  Follower* follower = followers_.exchange(closed());
  while (follower != nullptr && follower != closed()) {
    Follower* next = follower->next;
    follower->next = first;
    first = follower;
    follower = next;
  }
  while (first != nullptr) {
    Follower* one = first;
    first = one->next;
    one->function();
    let_go(one);
  }
}

/// The mark comes first: where it is there before the answer, whoever answers runs what was pushed,
/// and this thread may touch nothing of the state after that, of which nobody may be left. What was
/// pushed by others is never run here, but what follows them keeps its place behind them.
void FutureState::follow(std::function<void()> function) {
  const bool late = ready() || (word_.fetch_or(kFollowed) & kReady) != 0;
  Follower* head = followers_.load();
  if (head == closed() || (late && head == nullptr)) return function();
  Follower* follower = only_used_.exchange(true) ? new Follower : new (&only_) Follower;
  follower->function = std::move(function);
  for (;;) {
    if (head == closed()) {
      const std::function<void()> now = std::move(follower->function);
      let_go(follower);
      return now();
    }
    follower->next = head;
    if (followers_.compare_exchange_weak(head, follower)) return;
  }
}

StatePtr make_failed(std::shared_ptr<Core> core, Errc status, std::string message) {
  auto state = make_state(std::move(core), false);
  state->finish_error(status, std::move(message));
  state->run_followers();
  return state;
}

std::uint32_t AnyReady::begin() {
  any_sleepers.fetch_add(1);
  return any_changes.load();
}

std::uint32_t AnyReady::now() { return any_changes.load(); }

void AnyReady::sleep(std::uint32_t seen, std::int64_t until_us) {
  futex_wait(any_changes, seen, until_us);
}

void AnyReady::end() { any_sleepers.fetch_sub(1); }

void AnyReady::announce() {
  if (any_sleepers.load() == 0) return;
  any_changes.fetch_add(1);
  futex_wake_all(any_changes);
}

}  // namespace callboard::client
