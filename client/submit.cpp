// Calls from any thread: what they carry beside their arguments, and waiting for room.
#include "client/client_core.hpp"
#include "common/clock.hpp"
#include "common/shared_memory.hpp"

#include <callboard/context.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace callboard::client {

namespace {

/// The whole list, in shared memory where the broker can read it: copied once either way.
Blob place(const callboard::detail::LentList& args) {
  std::vector<std::string_view> pieces;
  std::size_t at = 0;
  for (const auto& lent : args.lent) {
    pieces.push_back(std::string_view(args.bytes).substr(at, lent.at - at));
    pieces.push_back(lent.view);
    at = lent.at;
  }
  pieces.push_back(std::string_view(args.bytes).substr(at));
  if (Blob shared = SharedMemory::process().share(pieces)) return shared;
  std::size_t bytes = 0;
  for (const std::string_view piece : pieces) bytes += piece.size();
  std::string list;
  list.reserve(bytes);
  for (const std::string_view piece : pieces) list.append(piece);
  return Blob(std::move(list));
}

const std::string kNoResultOptions = [] {
  wire::CallOptions options;
  options.no_result = true;
  std::string bytes;
  wire::Writer out(bytes);
  write(out, options);
  return bytes;
}();

/// The result of another call, as the session sees it.
class FutureDependency final : public Dependency {
 public:
  FutureDependency(StatePtr state, CallId id) : state_(std::move(state)), id_(id) {}

  State state() const override {
    if (!state_->ready()) return State::pending;
    return state_->status() == Errc::ok ? State::value : State::failed;
  }
  /// Of another client's call the id as it was; one of ours may still get another number.
  CallId id() const override { return id_ ? id_ : state_->id_now(); }
  std::string_view bytes() const override { return state_->bytes(); }

 private:
  const StatePtr state_;
  const CallId id_;
};

std::string cause_of(const FutureState& state) {
  const ErrorInfo cause = state.error();
  return std::string(name_of(cause.code)) + ": " + cause.message + " (call " +
         to_string(state.id_now()) + ")" + (cause.causes.empty() ? "" : "\n" + cause.causes);
}

StatePtr failed_dependent(std::shared_ptr<Core> core, const FutureState& state) {
  ErrorInfo error;
  error.code = Errc::dependency_failed;
  error.message = "call " + to_string(state.id_now()) + " failed";
  error.causes = cause_of(state);
  auto failed = make_state(std::move(core), false);
  const std::string bytes = wire::encode(error);
  failed->finish(error.code, {bytes, Blob()});
  return failed;
}

}  // namespace

// --- what a call carries ------------------------------------------------------------------------

std::string_view Core::constant_options(const PreparedOptions* options, bool result) {
  if (options == nullptr) return result ? std::string_view() : std::string_view(kNoResultOptions);
  return result ? options->encoded : options->encoded_no_result;
}

CallExtra& Core::extra_of(Outgoing& call, const PreparedOptions* options, bool result) {
  if (!call.extra) call.extra = std::make_unique<CallExtra>();
  CallExtra& extra = *call.extra;
  if (extra.has_options) return extra;
  extra.has_options = true;
  if (options != nullptr) extra.options = options->options;
  extra.options.no_result = !result;
  call.options = {};
  return extra;
}

void Core::add_running_call(Outgoing& call, const PreparedOptions* options, bool result) const {
  const callboard::detail::RunningCall* running = callboard::detail::current_call();
  if (running == nullptr) return;
  CallExtra& extra = extra_of(call, options, result);
  call.may_block = false;
  call.waits_when_full = false;
  extra.options.parent = running->id;
  extra.options.when_full = wire::WhenFull::reject;
  call.flags = static_cast<std::uint8_t>((call.flags & ~kBlock) | kReject);
  if (options == nullptr || options->inherit_deadline) {
    call.deadline_us = std::min(call.deadline_us, running->deadline_us);
  }
  if (running->headers.empty()) return;
  if (options == nullptr || options->headers.empty()) {
    extra.options.headers = running->headers;
    return;
  }
  // The call's own headers win over those that come along.
  std::map<std::string, std::string> headers = callboard::this_call().headers();
  for (const auto& [key, value] : options->headers) headers.insert_or_assign(key, value);
  extra.options.headers = encode_headers(headers);
}

Core::Outgoing Core::outgoing(const PreparedOptions* options, bool result) const {
  Outgoing call;
  call.options = constant_options(options, result);
  if (!result) call.flags |= kNoResult;
  const std::int64_t now = options == nullptr ? 0 : steady_us();
  std::optional<Milliseconds> block = options_.block_timeout;
  if (options != nullptr) {
    call.flags |= options->flags;
    if ((options->flags & kReject) != 0) call.waits_when_full = false;
    if (options->deadline) {
      call.deadline_us = now + options->deadline->count() * kMicrosPerMilli;
    }
    if (options->block_timeout) block = options->block_timeout;
    if (!options->constant()) extra_of(call, options, result);
  }
  if (block) call.block_until_us = steady_us_after(block->count() * kMicrosPerMilli);
  if (in_own_thread()) call.may_block = false;
  add_running_call(call, options, result);
  if (call.deadline_us != kNever) extra_of(call, options, result).deadline_us = call.deadline_us;
  return call;
}

// --- submitting ---------------------------------------------------------------------------------

[[gnu::always_inline]] inline StatePtr Core::new_state() {
  auto* const state = new FutureState(true);
  state->keep();
  return StatePtr(state);
}

/// REQUIRES: mutex_ is held, neither closing nor ended.
inline SharedReference& Core::reference() {
  return references_.take([this] { return shared_from_this(); });
}

/// No call with so many bytes may be added now. REQUIRES: mutex_ is held.
inline bool Core::is_full(const Queue& queue, std::uint64_t bytes) const {
  if (queue.parked()) return true;
  if (unaccepted_calls_ >= options_.max_unaccepted_calls) return true;
  return unaccepted_calls_ > 0 && unaccepted_bytes_ + bytes > options_.max_unaccepted_bytes;
}

/// REQUIRES: mutex_ is held, and there is room.
[[gnu::always_inline]] inline Core::Entry& Core::gather(const Queue& queue, std::uint32_t method,
                                                        FutureState* state, std::string_view args,
                                                        std::string_view options,
                                                        std::uint8_t flags) {
  Entry entry;
  entry.state = state;
  entry.slot = queue.slot();
  entry.method = method;
  entry.flags = flags;
  entry.at = static_cast<std::uint32_t>(gathered_.bytes.size());
  entry.args_bytes = static_cast<std::uint32_t>(args.size());
  entry.options_bytes = static_cast<std::uint32_t>(options.size());
  gathered_.entries.push_back(entry);
  if (state != nullptr) state->belongs_to(reference());
  gathered_.bytes.append(args);
  if (!options.empty()) gathered_.bytes.append(options);
  ++unaccepted_calls_;
  unaccepted_bytes_ += args.size() + options.size();
  return gathered_.entries.back();
}

/// What enqueue() does, in a straight line, for a call without options. False, and nothing was
/// done, when more has to be asked or it has to wait.
[[gnu::always_inline]] inline bool Core::submit_plain(Queue& queue, std::uint32_t method,
                                                      std::string_view args, FutureState* state) {
  const bool result = state != nullptr;
  const std::string_view options = constant_options(nullptr, result);
  bool enough = false;
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || closing_ || queue.full().known()) return false;
    if (is_full(queue, args.size() + options.size())) return false;
    queue.full().passes();
    gather(queue, method, state, args, options, result ? 0 : kNoResult);
    enough = gathered_.urgent || gathered_.entries.size() >= enough_;
  }
  if (enough) send_soon();
  return true;
}

StatePtr Core::submit(Queue& queue, std::uint32_t method, const PreparedOptions* options,
                      std::string& args, bool result) {
  // Most calls have no options, are made outside of calls, and nothing refuses them.
  if (options == nullptr && args.size() < limits::kPartBytesMin && !queue.full().known() &&
      callboard::detail::current_call() == nullptr) {
    StatePtr state;
    if (result) state = new_state();
    if (submit_plain(queue, method, args, state.get())) return state;
    if (state) state->release();
  }
  Outgoing call = outgoing(options, result);
  if (options != nullptr && !options->after.empty()) {
    std::vector<callboard::detail::Piece> none;
    if (StatePtr failed = add_dependencies(call, options, none)) return failed;
  }
  return enqueue(queue, method, std::move(call), args, result);
}

StatePtr Core::submit(Queue& queue, std::uint32_t method, const PreparedOptions* options,
                      std::vector<callboard::detail::Piece> args, bool result) {
  Outgoing call = outgoing(options, result);
  if (StatePtr failed = add_dependencies(call, options, args)) return failed;
  std::string list;
  if (!call.extra || call.extra->arguments.empty()) {
    // All of them are known by now.
    wire::Writer out(list);
    out.array(args.size());
    for (const auto& piece : args) out.raw(piece.bytes);
  }
  return enqueue(queue, method, std::move(call), list, result);
}

StatePtr Core::submit(Queue& queue, std::uint32_t method, const PreparedOptions* options,
                      const callboard::detail::LentList& args, bool result) {
  std::size_t bytes = args.bytes.size();
  for (const auto& lent : args.lent) bytes += lent.view.size();
  if (bytes > limits::kPayloadBytesMax) return too_large();
  Outgoing call = outgoing(options, result);
  if (options != nullptr && !options->after.empty()) {
    std::vector<callboard::detail::Piece> none;
    if (StatePtr failed = add_dependencies(call, options, none)) return failed;
  }
  if (!call.extra) call.extra = std::make_unique<CallExtra>();
  call.extra->part = place(args);
  std::string none;
  return enqueue(queue, method, std::move(call), none, result);
}

StatePtr Core::too_large() {
  return make_failed(shared_from_this(), Errc::too_large,
                     "the arguments take more than " + std::to_string(limits::kPayloadBytesMax) +
                         " bytes");
}

StatePtr Core::add_dependencies(Outgoing& call, const PreparedOptions* options,
                                std::vector<callboard::detail::Piece>& args) {
  const auto self = [this] { return std::const_pointer_cast<Core>(shared_from_this()); };
  const auto dependency_on = [&](const StatePtr& state) {
    const bool foreign = state->core().get() != this;
    return std::make_shared<FutureDependency>(state, foreign ? state->id() : CallId());
  };
  bool pending = false;
  for (auto& piece : args) {
    if (piece.future == nullptr) continue;
    if (!piece.future->ready()) {
      if (!piece.future->is_call()) {
        return make_failed(self(), Errc::invalid_option,
                           "only a call's future can be an argument before it is ready");
      }
      pending = true;
      continue;
    }
    if (piece.future->status() != Errc::ok) return failed_dependent(self(), *piece.future);
    piece.bytes = piece.future->bytes();
    piece.future.reset();
  }
  if (pending) {
    const bool result = (call.flags & kNoResult) == 0;
    CallExtra& extra = extra_of(call, options, result);
    for (auto& piece : args) {
      std::shared_ptr<Dependency> dependency;
      if (piece.future) dependency = dependency_on(piece.future);
      extra.arguments.push_back({std::move(piece.bytes), std::move(dependency)});
    }
  }
  if (options == nullptr) return nullptr;
  for (const StatePtr& state : options->after) {
    if (state->ready()) {
      if (state->status() != Errc::ok) return failed_dependent(self(), *state);
    } else if (state->is_call()) {
      call.extra->after.push_back(dependency_on(state));
    }
  }
  return nullptr;
}

StatePtr Core::enqueue(Queue& queue, std::uint32_t method, Outgoing call, std::string& args,
                       bool result) {
  std::uint64_t bytes = args.size() + call.options.size();
  if (call.extra) {
    bytes += call.extra->part.size();
    for (const Argument& argument : call.extra->arguments) bytes += argument.bytes.size();
  }
  if (bytes > limits::kPayloadBytesMax) return too_large();
  StatePtr state;
  const bool ask_first = queue.full().known();  // a call that is refused costs next to nothing
  if (ask_first) {
    const std::lock_guard lock(mutex_);
    if (StatePtr refusal = refuse_full(queue, call)) return result ? refusal : nullptr;
  }
  if (result) state = new_state();
  if (args.size() >= limits::kPartBytesMin) {
    if (!call.extra) call.extra = std::make_unique<CallExtra>();
    call.extra->part = SharedMemory::process().share_or_keep(std::move(args));
    args.clear();
  }
  Errc problem = Errc::ok;
  bool enough = false;
  {
    std::unique_lock lock(mutex_);
    if (StatePtr refusal = ask_first ? nullptr : refuse_full(queue, call)) {
      if (state) state->release();
      return result ? refusal : nullptr;
    }
    problem = wait_for_room(lock, queue, call, bytes);
    if (problem != Errc::ok) queue.full().withdrawn();
    if (problem == Errc::ok) {
      Entry& entry = gather(queue, method, state.get(), args, call.options, call.flags);
      if (call.extra) {
        gathered_.urgent = gathered_.urgent || call.extra->part.size() > 0;
        entry.extra = static_cast<std::uint32_t>(gathered_.extras.size());
        gathered_.extras.push_back(std::move(call.extra));
      }
      unaccepted_bytes_ += bytes - args.size() - call.options.size();
      enough = gathered_.urgent || gathered_.entries.size() >= enough_;
    }
  }
  if (problem == Errc::ok) {
    if (enough) send_soon();
    return state;
  }
  if (state == nullptr) return nullptr;
  state->release();
  state->belongs_to(shared_from_this());
  refuse_here(*state, problem);
  return state;
}

/// Whether the broker has said that it would refuse the call. Then that is its answer, and since
/// its user can see it at once, it holds back nothing that follows. REQUIRES: mutex_ is held.
StatePtr Core::refuse_full(Queue& queue, const Outgoing& call) {
  if (ended_ || closing_) queue.full().forget();
  const std::int64_t now_us = queue.full().known() ? steady_us_coarse() : 0;
  return queue.full().refuses(now_us, call.flags) ? queue.refusal(now_us) : nullptr;
}

void Core::refuse_here(FutureState& state, Errc problem) const {
  std::string text;
  switch (problem) {
    case Errc::queue_full: text = "there is no room for the call, and it may not wait"; break;
    case Errc::expired: text = "its deadline passed while it waited for room"; break;
    default: {
      const std::optional<ErrorInfo> ended = error();
      text = ended && !ended->message.empty() ? ended->message : "the client was closed";
    }
  }
  state.finish_error(problem, std::move(text));
  state.run_followers();  // there are none yet: what follows is run at once
}

Errc Core::wait_for_room(std::unique_lock<ShortLock>& lock, const Queue& queue,
                         const Outgoing& call, std::uint64_t bytes) {
  for (;;) {
    if (ended_) return ended_->code;
    if (closing_) return Errc::disconnected;
    if (!is_full(queue, bytes)) return Errc::ok;
    const bool may_wait = call.may_block && (call.waits_when_full || !queue.parked());
    if (!may_wait) return Errc::queue_full;
    const std::int64_t until_us = std::min(call.deadline_us, call.block_until_us);
    if (until_us <= steady_us()) {
      return call.deadline_us <= call.block_until_us ? Errc::expired : Errc::queue_full;
    }
    ++waiting_;
    gathered_.urgent = !gathered_.entries.empty();
    if (gathered_.urgent && std::exchange(enough_, 1) > 1) connection_->wake();
    if (until_us == kNever) {
      changed_.wait(lock);
    } else {
      using Clock = std::chrono::steady_clock;
      changed_.wait_until(lock, Clock::time_point(std::chrono::microseconds(until_us)));
    }
    --waiting_;
  }
}

}  // namespace callboard::client
