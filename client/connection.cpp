#include "client/connection.hpp"

#include "client/raise.hpp"
#include "common/clock.hpp"
#include "common/futex.hpp"

#include <algorithm>
#include <utility>

namespace callboard::client {

namespace {

/// Frames taken in one turn, and for how long, so that what is to be sent, pings above all, does
/// not wait for ever: a frame may hold thousands of calls.
constexpr int kFramesPerTurn = 64;
constexpr std::int64_t kReceiveUs = 20'000;
/// How often the own thread looks whether the turns that it has lent are left alone.
constexpr std::int64_t kLookUs = 1'000;
/// The same while one thread keeps them: it says when it gives them up.
constexpr std::int64_t kLookAtKeptUs = 50'000;

/// How the own thread sleeps.
constexpr std::uint32_t kAwake = 0;
constexpr std::uint32_t kLooksSoon = 1;
constexpr std::uint32_t kLooksWhenGivenUp = 2;

wire::LinkOptions link_options(const ConnectionOptions& options) {
  wire::LinkOptions link = options.link;
  link.endpoints = std::max<std::size_t>(options.endpoints.size(), 1);
  return link;
}

}  // namespace

Connection::Connection(ConnectionOptions options)
    : options_(std::move(options)), link_(link_options(options_)) {
  if (options_.endpoints.empty()) {
    raise(Errc::invalid_option, "no broker address was given");
  }
  for (const std::string& endpoint : options_.endpoints) {
    if (!zmtp::Dealer::is_address(endpoint)) {
      raise(Errc::invalid_option, "not an address of a broker: '" + endpoint + "'");
    }
  }
}

Connection::~Connection() {
  stop();
  join();
}

void Connection::add(wire::LinkMember& member, wire::Side side) { link_.add(member, side); }

void Connection::start() {
  thread_ = std::thread([this] { run(); });
}

void Connection::stop() {
  stopping_.store(true);
  wake();
}

void Connection::join() {
  if (thread_.joinable()) thread_.join();
}

bool Connection::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return false;
    posted_.push_back(std::move(task));
  }
  wake();
  return true;
}

void Connection::wake() {
  // Who finds it set has nothing to add: whoever set it looks whether the loop sleeps.
  if (again_.load()) return;
  again_.store(true);
  if (rest_.load() == Rest::none) return;
  switch (rest_.exchange(Rest::none)) {
    case Rest::none: break;
    case Rest::polling: dealer_.wake(); break;
    case Rest::left: take_back(); break;
  }
}

void Connection::wake_unless_left() {
  // Whoever takes turns that are left begins by looking at everything.
  if (rest_.load() != Rest::left) wake();
}

// --- who has the turns --------------------------------------------------------------------------

void Connection::run() {
  std::unique_lock turns(turns_);
  thread_id_.store(std::this_thread::get_id());
  link_.start(clock_now(), out_);
  send();
  while (!stopping_.load()) {
    turn();
    left_alone_ = false;
    if (!may_leave()) {
      poll(kNever);
      continue;
    }
    leave();
    turns.unlock();
    // Who was to take them may have found them taken a moment ago.
    if (others_come_ && !others_come_()) wanted_.store(true);
    look_later(turns);
    left_alone_ = !wanted_.exchange(false);
    enter(false);
  }
  lend_ = false;
  finish();
}

bool Connection::try_turn() {
  std::unique_lock turns(turns_, std::try_to_lock);
  if (!turns.owns_lock() || !lend_ || stopping_.load()) return false;
  enter(true);
  turn();
  leave();
  if (!lend_ || !dealer_.settled()) take_back();
  give_up(turns);
  return true;
}

bool Connection::drive(const std::function<bool()>& done, std::int64_t until_us) {
  std::unique_lock turns(turns_, std::try_to_lock);
  if (!turns.owns_lock() || !lend_ || stopping_.load()) return false;
  enter(true);
  for (;;) {
    turn();
    if (done() || !lend_ || stopping_.load() || clock_now().mono_us >= until_us) break;
    poll(until_us);
  }
  leave();
  const bool idle = may_leave() && !stopping_.load();
  give_up(turns);
  if (!idle) take_back();
  return true;
}

void Connection::enter(bool borrows) {
  is_borrowed_ = borrows;
  if (borrows) borrowed_.fetch_add(1);
  rest_.store(Rest::none);
  thread_id_.store(std::this_thread::get_id());
}

/// The turns are nobody's from here on. REQUIRES: `turns_` is held still, and given up next.
void Connection::leave() {
  if (before_leaving_) before_leaving_();
  thread_id_.store({});
  rest_.store(Rest::left);
  // Whoever calls wake() from here on sees that; whoever did before has set again_.
  if ((again_.load() || stopping_.load()) && rest_.exchange(Rest::none) == Rest::left) take_back();
}

void Connection::give_up(std::unique_lock<std::mutex>& turns) {
  turns.unlock();
  // Either the own thread finds them free before it sleeps, or this finds that it does.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sleeps_.load() != kLooksWhenGivenUp) return;
  sleeps_.store(kAwake);
  futex_wake_all(sleeps_);
}

/// The own thread sleeps while others have the turns; afterwards it has them.
void Connection::look_later(std::unique_lock<std::mutex>& turns) {
  for (;;) {
    const std::uint32_t seen = borrowed_.load();
    sleep(kLooksSoon, kLookUs);
    if (while_left_) while_left_();
    // Whoever had the turns meanwhile has them still, most likely: it is not disturbed.
    if (borrowed_.load() != seen && !wanted_.load()) continue;
    if (turns.try_lock()) return;
    if (!while_left_) sleep(kLooksWhenGivenUp, kLookAtKeptUs);
  }
}

void Connection::sleep(std::uint32_t how, std::int64_t for_us) {
  sleeps_.store(how);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if ((wanted_.load() || how == kLooksWhenGivenUp) && turns_.try_lock()) return turns_.unlock();
  futex_wait(sleeps_, how, steady_us_after(for_us));
}

void Connection::take_back() {
  wanted_.store(true);
  sleeps_.store(kAwake);
  futex_wake_all(sleeps_);
}

void Connection::turn() {
  again_.store(false);
  run_posted();
  receive();
  link_.on_tick(clock_now(), out_);
  send();
}

void Connection::poll(std::int64_t until_us) {
  rest_.store(Rest::polling);
  // Whoever calls wake() from here on sees that we sleep; whoever did before has set again_.
  if (!again_.load() && !stopping_.load()) {
    const std::int64_t due_us = std::min(link_.next_deadline_us(), until_us);
    std::int64_t timeout_ms = -1;
    if (due_us != kNever) {
      const std::int64_t left_us = std::max<std::int64_t>(due_us - clock_now().mono_us, 0);
      timeout_ms = millis_up(left_us);
    }
    dealer_.wait(timeout_ms);
  }
  rest_.store(Rest::none);
}

void Connection::run_posted() {
  {
    const std::lock_guard lock(mutex_);
    running_.swap(posted_);
  }
  for (Task& task : running_) task(clock_now(), out_);
  running_.clear();
}

void Connection::receive() {
  zmtp::ArrivedFrame frame;
  const std::int64_t until_us = clock_now().mono_us + kReceiveUs;
  for (int i = 0; i < kFramesPerTurn && !out_.connect; ++i) {
    if (!dealer_.receive(frame)) return;
    const Instant now = clock_now();
    link_.on_frame(now, {frame.head, frame.parts}, out_);
    if (now.mono_us >= until_us) break;
  }
  again_.store(true);  // more may be there: no sleep before the next turn
}

void Connection::send() {
  if (out_.connect) dealer_.connect(options_.endpoints[*out_.connect]);
  for (wire::Frame& frame : out_.frames()) dealer_.send(frame);
  if (options_.log) {
    for (const auto& [level, text] : out_.log) options_.log(level, text);
  }
  out_.clear();
}

void Connection::finish() {
  // What was posted before the end is run; the members write their last words before the goodbye.
  run_posted();
  link_.on_tick(clock_now(), out_);
  link_.close(clock_now(), {Errc::stopping, "closed by its user"}, out_);
  send();
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  run_posted();
  dealer_.close(options_.linger_ms);
}

}  // namespace callboard::client
