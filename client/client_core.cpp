// The connection's side: what gathered goes into the session, answers go to the futures.
#include "client/client_core.hpp"

#include "client/raise.hpp"
#include "common/clock.hpp"
#include "common/prefetch.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <random>
#include <utility>

namespace callboard::client {

namespace {

/// Small strings move their bytes; those of a batch must stay where they are.
constexpr std::size_t kBatchBytes = 16 * 1024;

/// Calls whose future and handle are asked for before their turn; what leads there, before that.
constexpr std::ptrdiff_t kAhead = 5;

/// With so many calls unanswered and answers coming all the time, later calls gather until the next
/// frame from the broker, until they are a frame worth its cost, or until they have waited so long.
constexpr std::uint64_t kBusyCalls = 64;
constexpr std::size_t kFrameCalls = 128;
constexpr std::int64_t kGatherUs = 1000;

/// With a thread that submits and takes the turns by itself: so many calls leave together.
constexpr std::size_t kSteadyFrameCalls = 256;

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

void Core::Gathered::clear() {
  entries.clear();
  bytes.clear();
  extras.clear();
  commands.clear();
  urgent = false;
}

// --- life ---------------------------------------------------------------------------------------

SessionOptions Core::session_options(const ClientOptions& options) {
  std::random_device random;
  const auto draw = [&random] { return std::uint64_t{random()} << 32 | random(); };
  SessionOptions session;
  // The top byte is the shard, of which there is one.
  session.id = SessionId{(draw() & 0x00FFFFFFFFFFFFFFull) | 2};
  session.random_seed = draw();
  session.name = options.name.empty() ? program_invocation_short_name : options.name;
  session.host = host_name();
  session.pid = static_cast<std::uint64_t>(getpid());
  return session;
}

Core::Core(ClientOptions options, Connection* connection)
    : options_(std::move(options)),
      session_(session_options(options_), *this),
      connection_(connection) {
  if (connection_ == nullptr) {
    ConnectionOptions made;
    made.endpoints = options_.endpoints;
    made.log = options_.log;
    own_connection_ = std::make_unique<Connection>(std::move(made));
    own_connection_->before_leaving([this] { leave_turns(); });
    connection_ = own_connection_.get();
  }
  gathered_.bytes.reserve(kBatchBytes);
  connection_->add(*this, wire::Side::client);
}

std::shared_ptr<Core> Core::connect(ClientOptions options) {
  const std::shared_ptr<Core> core(new Core(std::move(options), nullptr));
  core->keep_alive_ = core;
  core->own_connection_->start();
  return core;
}

std::shared_ptr<Core> Core::attach(Connection& connection, ClientOptions options) {
  const std::shared_ptr<Core> core(new Core(std::move(options), &connection));
  core->keep_alive_ = core;
  return core;
}

void Core::close() {
  std::map<std::string, QueuePtr, std::less<>> tasks;
  ReferenceStock unused;
  {
    std::unique_lock lock(mutex_);
    if (closing_) return;
    closing_ = true;
    unused.swap(references_);
    changed_.notify_all();
    lock.unlock();
    hurry();
    lock.lock();
    if (!in_own_thread()) {
      ++waiting_;
      changed_.wait_for(lock, options_.close_timeout,
                        [&] { return unaccepted_calls_ == 0 || ended_.has_value(); });
      --waiting_;
    }
    tasks.swap(tasks_);
  }
  tasks.clear();
  if (own_connection_ == nullptr) {
    // The connection goes on without us; what is unanswered ends now.
    connection_->post([keep = shared_from_this()](Instant now, wire::LinkOut&) {
      keep->on_ended(now, {Errc::stopping, {}});
    });
    return callbacks_.stop();
  }
  own_connection_->stop();
  if (in_own_thread()) return;
  own_connection_->join();
  callbacks_.stop();
  std::shared_ptr<Core> keep;
  const std::lock_guard lock(mutex_);
  keep.swap(keep_alive_);
}

void Core::on_ended(Instant now, const wire::Goodbye& why) {
  session_.on_ended(now, why);
  if (own_connection_) own_connection_->lend(false, false);
  std::shared_ptr<Core> keep;
  ReferenceStock unused;
  {
    const std::lock_guard lock(mutex_);
    unused.swap(references_);
    const auto& [code, text] = *session_.ended();
    ended_ = ErrorInfo{code, {}, text, {}, {}};
    connected_ = false;
    swap_gathered();
    changed_.notify_all();
    if (own_connection_ == nullptr) keep.swap(keep_alive_);
  }
  take(now, taking_);
  tell_refusals(now);
  wake_sleepers();
  // The link is not done with us: the connection lets go when it has run what was posted.
  if (keep) connection_->post([keep](Instant, wire::LinkOut&) {});
}

bool Core::connected() const {
  const std::lock_guard lock(mutex_);
  return connected_;
}

bool Core::wait_connected(std::int64_t until_us) const {
  std::unique_lock lock(mutex_);
  const auto settled = [&] { return connected_ || ended_.has_value(); };
  if (until_us == kNever) {
    changed_.wait(lock, settled);
  } else {
    using Clock = std::chrono::steady_clock;
    changed_.wait_until(lock, Clock::time_point(std::chrono::microseconds(until_us)), settled);
  }
  return connected_;
}

std::optional<ErrorInfo> Core::error() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

// --- turns --------------------------------------------------------------------------------------

void Core::fill_hello(wire::Hello& hello) {
  in_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  session_.fill_hello(hello);
}

void Core::on_welcome(Instant now, const wire::Welcome& welcome, bool new_epoch,
                      wire::LinkOut& out) {
  session_.on_welcome(now, welcome, new_epoch, out);
}

bool Core::on_message(Instant now, std::uint64_t type, std::uint32_t fields, wire::FrameReader& in,
                      wire::LinkOut& out) {
  heard_ = true;
  last_heard_us_ = now.mono_us;
  return session_.on_message(now, type, fields, in, out);
}

void Core::on_tick(Instant now, bool ready, wire::LinkOut& out) {
  wake_sleepers();
  tell_refusals(now);
  drain(now);
  session_.on_tick(now, ready, out);
  unanswered_.store(session_.unanswered(), std::memory_order_relaxed);
  wake_sleepers();
  lend_turns(now);
}

// --- turns of others ----------------------------------------------------------------------------

void Core::lend_turns(Instant now) {
  if (!own_connection_) return;
  if (own_connection_->left_alone()) lending_.left_alone();
  const std::uint64_t unanswered = session_.unanswered();
  const bool ready = session_.connected() && requests_.empty();
  const bool steady = ready && lending_.steady();
  // Whoever waits for it now sleeps already, and does not come.
  const bool comes = own_connection_->borrowed() || woke_ || !lending_.any_waits();
  woke_ = false;
  steady_.store(steady, std::memory_order_relaxed);
  own_connection_->lend(steady || (ready && lending_.one_at_a_time(now.mono_us, unanswered)),
                        unanswered == 0 || (steady && comes));
}

void Core::send_soon() {
  if (own_connection_) {
    const bool steady = steady_.load(std::memory_order_relaxed);
    const bool alone = unanswered_.load(std::memory_order_relaxed) == 0;
    if ((steady || (alone && lending_.submits_alone())) && own_connection_->try_turn()) return;
  }
  connection_->wake();
}

/// The turns are nobody's for a while. Where whoever has left them comes back soon, nobody is woken
/// for what is submitted until then; if nobody comes, the own thread sees it (drain()).
void Core::leave_turns() {
  if (!steady_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  enough_ = kSteadyFrameCalls;
}

void Core::wait(FutureState& state, std::int64_t until_us) {
  if (!own_connection_) return hurry();
  lending_.wait_begins(steady_us(), unanswered_.load(std::memory_order_relaxed));
  const bool wake = make_urgent();
  if (own_connection_->drive([&state] { return state.ready(); }, until_us)) return;
  if (wake) connection_->wake();
}

void Core::wait_ends() {
  if (own_connection_) lending_.wait_ends(steady_us());
}

void Core::hurry() {
  if (make_urgent()) connection_->wake();
}

/// What gathers waits for nothing more. True when the thread that sends it has to be woken.
bool Core::make_urgent() {
  const std::lock_guard lock(mutex_);
  if (gathered_.entries.empty()) return false;
  gathered_.urgent = true;
  return std::exchange(enough_, 1) > 1;  // at 1 it is awake
}

bool Core::should_gather(Instant now) const {
  return !heard_ && now.mono_us < gather_until_us_ && now.mono_us < last_heard_us_ + kGatherUs &&
         session_.unanswered() >= kBusyCalls && gathered_.entries.size() < kFrameCalls &&
         !gathered_.urgent && gathered_.commands.empty();
}

/// REQUIRES: mutex_ is held.
void Core::swap_gathered() {
  std::swap(gathered_, taking_);
  enough_ = 1;
}

void Core::drain(Instant now) {
  {
    const std::lock_guard lock(mutex_);
    gather_due_us_ = kNever;
    enough_ = 1;
    if (gathered_.entries.empty()) return;
    if (should_gather(now)) {
      enough_ = kFrameCalls;
      gather_due_us_ = gather_until_us_;
      return;
    }
    swap_gathered();
    if (!spare_bytes_.empty()) {
      gathered_.bytes = std::move(spare_bytes_.back());
      spare_bytes_.pop_back();
      gathered_.bytes.clear();
    }
    gathered_.bytes.reserve(kBatchBytes);
  }
  heard_ = false;
  gather_until_us_ = now.mono_us + kGatherUs;
  take(now, taking_);
  auto& spare = session_.spare_bytes();
  if (spare.empty()) return;
  const std::lock_guard lock(mutex_);
  if (spare_bytes_.size() < 8) spare_bytes_.push_back(std::move(spare.back()));
  spare.pop_back();
}

/// Whoever submitted the calls behind this one wrote their futures, and of many queues few are in
/// the caches.
[[gnu::always_inline]] inline void Core::expect_behind(const Entry* entry, const Entry* end) const {
  const std::ptrdiff_t left = end - entry;
  const auto is_other = [&](std::ptrdiff_t at) {
    return left > at && entry[at].slot != entry->slot && entry[at].slot < slots_.size();
  };
  if (left > kAhead) prefetch_to_write(entry[kAhead].state, FutureState::kHotBytes);
  if (is_other(kAhead)) session_.expect_call(slots_[entry[kAhead].slot].handle);
  if (is_other(2 * kAhead)) session_.expect_place(slots_[entry[2 * kAhead].slot].handle);
  if (is_other(3 * kAhead)) prefetch_to_read(&slots_[entry[3 * kAhead].slot], 1);
}

void Core::take(Instant now, Gathered& gathered) {
  const char* const bytes = gathered.bytes.data();
  const Entry* const end = gathered.entries.data() + gathered.entries.size();
  for (const Entry* entry = gathered.entries.data(); entry != end; ++entry) {
    expect_behind(entry, end);
    if (entry->command != kNone) {
      gathered.commands[entry->command](now);
      continue;
    }
    NewCall call;
    call.token = entry->state == nullptr ? 0 : entry->state->token();
    call.handle = slots_[entry->slot].handle;
    call.method = entry->method;
    call.flags = entry->flags;
    call.args = {bytes + entry->at, entry->args_bytes};
    call.options = {bytes + entry->at + entry->args_bytes, entry->options_bytes};
    if (entry->extra == kNone && !session_.ended()) {
      const std::uint64_t seq = session_.submit_plain(call);
      if (entry->state != nullptr) entry->state->number({session_.id(), seq});
      continue;
    }
    if (entry->extra != kNone) call.extra = std::move(gathered.extras[entry->extra]);
    session_.submit(now, std::move(call));
  }
  if (!gathered.bytes.empty()) session_.keep(std::move(gathered.bytes));
  gathered.clear();
}

void Core::tell_refusals(Instant now) {
  if (refusals_.empty()) return;
  std::vector<Refusal> refusals;
  refusals.swap(refusals_);
  std::vector<StatePtr> finished;
  {
    // Whatever is submitted after this lock could know of the refusals; what gathered before could
    // not, and is refused with them.
    const std::lock_guard lock(mutex_);
    swap_gathered();
    gathered_.bytes.reserve(kBatchBytes);
    for (const Refusal& refusal : refusals) {
      if (refusal.token == 0) continue;
      FutureState& state = FutureState::of(refusal.token);
      finished.push_back(state.release());
      if (state.finish(refusal.status, {refusal.error, Blob()}))
        sleepers_.push_back(finished.back());
    }
  }
  take(now, taking_);
  for (const Refusal& refusal : refusals) session_.resume(refusal.handle);
  for (const StatePtr& state : finished) state->run_followers();
  answered_ = true;
  wake_sleepers();
}

void Core::finish(Token token, Errc status, const wire::Body& value) {
  FutureState& state = FutureState::of(token);
  StatePtr keep = state.release();
  const bool sleepers = state.finish(status, value);
  state.run_followers();
  answered_ = true;
  if (sleepers) sleepers_.push_back(std::move(keep));
}

void Core::wake_sleepers() {
  if (!sleepers_.empty()) woke_ = true;
  for (const StatePtr& state : sleepers_) state->wake();
  sleepers_.clear();
  if (answered_) AnyReady::announce();
  answered_ = false;
}

// --- SessionSink --------------------------------------------------------------------------------

void Core::on_answer(Token token, Errc status, const wire::Body& value) {
  finish(token, status, value);
}

void Core::expect_answer(Token token) {
  prefetch_to_write(reinterpret_cast<const void*>(token), FutureState::kHotBytes);
}

void Core::on_refused(Token token, std::uint32_t handle, Errc status, std::string_view error) {
  refusals_.push_back({token, handle, status, std::string(error)});
}

void Core::on_settled(std::uint64_t calls, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  unaccepted_calls_ -= calls;
  unaccepted_bytes_ -= bytes;
  if (waiting_ > 0) changed_.notify_all();
}

std::shared_ptr<Queue> Core::queue_of(std::uint32_t handle) const {
  if (handle >= slot_of_handle_.size() || slot_of_handle_[handle] == kNone) return nullptr;
  return slots_[slot_of_handle_[handle]].queue.lock();
}

void Core::on_opened(std::uint32_t handle, const wire::Opened& opened) {
  if (const QueuePtr queue = queue_of(handle)) queue->set_opened(opened);
}

void Core::on_created(std::uint32_t handle, ActorId id) {
  if (const QueuePtr queue = queue_of(handle)) queue->set_id(id);
}

void Core::on_parked(std::uint32_t handle, bool parked) {
  const QueuePtr queue = queue_of(handle);
  if (queue == nullptr) return;
  const std::lock_guard lock(mutex_);
  queue->set_parked(parked);
  if (!parked && waiting_ > 0) changed_.notify_all();
}

void Core::on_full(std::uint32_t handle, const FullTold& told) {
  const QueuePtr queue = queue_of(handle);
  if (queue == nullptr) return;
  const std::string name = queue->name();
  const std::lock_guard lock(mutex_);
  queue->full().refused(told, name);
}

void Core::on_not_full(std::uint32_t handle) {
  const QueuePtr queue = queue_of(handle);
  if (queue == nullptr) return;
  const std::lock_guard lock(mutex_);
  queue->full().forget();
}

void Core::on_progress(std::uint32_t handle, const QueueProgress& progress) {
  const QueuePtr queue = queue_of(handle);
  if (queue == nullptr) return;
  const std::lock_guard lock(mutex_);
  queue->full().progressed(progress);
}

void Core::on_cancel_answer(Token request, wire::CancelAnswer answer) {
  std::string bytes;
  wire::Writer out(bytes);
  out.uint(static_cast<std::uint64_t>(answer));
  answer_request(request, Errc::ok, bytes);
}

void Core::on_request_answer(Token request, Errc status, std::string_view info) {
  if (status == Errc::ok) {
    return answer_request(request, status, info.empty() ? std::string_view("\xc0") : info);
  }
  ErrorInfo error;
  error.code = status;
  wire::Reader in(info);
  if (info.empty() || !in.str(error.message)) {
    error.message = status == Errc::disconnected
                        ? "the connection was lost before the answer; it may have been done"
                        : "refused by the broker";
  }
  answer_request(request, status, wire::encode(error));
}

void Core::answer_request(Token request, Errc status, std::string_view bytes) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return;
  const StatePtr state = std::move(found->second);
  requests_.erase(found);
  if (state->finish(status, {bytes, Blob()})) sleepers_.push_back(state);
  state->run_followers();
  answered_ = true;
}

void Core::on_connected(bool connected) {
  const std::lock_guard lock(mutex_);
  connected_ = connected;
  changed_.notify_all();
}

}  // namespace callboard::client
