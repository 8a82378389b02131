// What workers give back: results, calls that were not begun, room; and what is tried again.
#include "broker/core/core.hpp"

#include "common/check.hpp"
#include "common/prefetch.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace callboard::broker {

namespace {

/// A worker whose actors took turns is taken to do so for that many results.
constexpr std::uint32_t kTurnsSeen = 32;

}  // namespace

/// Of a worker whose actors take turns: asks for what a result changes that stands so many bytes
/// behind the one that was read.
void Core::expect_done(Worker& worker, const wire::FrameReader& in, std::size_t bytes) {
  wire::Reader ahead;
  std::uint64_t number = 0;
  if (!in.glance(static_cast<std::uint8_t>(wire::Type::done), bytes, ahead)) return;
  const Lease* const lease = ahead.uint(number) ? worker.leases.find(number) : nullptr;
  if (lease == nullptr) return;
  prefetch_to_write(lease->call, sizeof(Call));
  if (lease->instance == worker.told_of) return;
  // Most instances are the last part of their queue.
  const auto end = reinterpret_cast<std::uintptr_t>(lease->instance) + sizeof(Instance);
  prefetch_to_write(reinterpret_cast<const void*>(end - sizeof(Queue)), sizeof(Queue));
}

[[gnu::always_inline]] inline void Core::on_done(Worker& worker, const wire::Done& message) {
  const Lease* found = worker.leases.find(message.lease);
  if (found == nullptr) {
    // Not ours any more: an older epoch's, or heard before. The worker need not keep it once what
    // was made of it is on record.
    ++counters_.fenced_results;
    part_with(worker, message.lease);
    if (worker.kept.contains(message.lease)) return;
    return forget(worker, message.lease, last_batch() != 0);
  }
  const Lease lease = *found;
  Call& call = *lease.call;
  Instance& instance = *lease.instance;
  if (std::exchange(worker.told_of, &instance) != &instance) worker.takes_turns = kTurnsSeen;
  close_lease(worker, message.lease, lease);
  bool hand_back = false;
  if (call.state == CallState::ended) {
    // Its outcome was decided while it ran (deadline, kill): the late result changes nothing, but
    // only what is on record keeps the next broker from taking the call for never begun.
    key_done(call);
    confirm_lease(call, last_batch() != 0);
    drop_if_done(call);
  } else if (message.status == Errc::ok) {
    end_call(call, message.status, message.value, true);
  } else {
    hand_back = on_failed(call, instance, message);
  }
  if (message.held) {
    if (hand_back && instance.out > 0) instance.recalling = true;
    // Behind what was sent to the slot and still waits for its commit: that is handed back too.
    wire::FrameWriter out = to(*worker.peer, instance.deferred_batch);
    wire::write(out, wire::GoOn{instance.slot, hand_back});
    // A worker that is told to forget the result of a held lane takes this answer for lost.
    if (instance.deferred_batch > committed_ && std::erase(worker.forget_now, message.lease) > 0) {
      wire::write(out, wire::Forget{{{message.lease, 1}}});
    }
  }
  wake_instance(instance);
  if (instance.queue && instance.queue->state != QueueState::open) finish_closing(*instance.queue);
}

/// One result, and those right behind it.
bool Core::on_dones(Worker& worker, std::uint32_t fields, wire::FrameReader& in) {
  constexpr std::size_t kAhead = 3;
  const std::uint64_t forgotten = peers_forgotten_;
  wire::Done message;
  std::size_t left = in.rest().size();
  do {
    if (!read(in, fields, message)) return false;
    if (worker.takes_turns > 0) {
      --worker.takes_turns;
      const std::size_t bytes = left - in.rest().size();
      expect_done(worker, in, (kAhead - 1) * bytes);
    }
    left = in.rest().size();
    on_done(worker, message);
  } while (peers_forgotten_ == forgotten &&
           in.message_of(static_cast<std::uint8_t>(wire::Type::done), fields));
  return true;
}

/// A call ended with an error. True: it is tried again, and what is behind it is to be handed back.
bool Core::on_failed(Call& call, Instance& instance, const wire::Done& message) {
  ErrorInfo error;
  if (message.status == Errc::task_error) {
    error = wire::decode_error(message.value.bytes, message.status);
  }
  const bool wanted = wants_retry(call, message.status, error.type);
  if (wanted) ++call.more().errors;
  if (wanted && has_attempts(call) && !lacks_results(call)) {
    CallExtra& extra = *call.extra;
    ++counters_.retried;
    extra.last_error = message.value.bytes;
    const bool durable = call.durable;
    confirm_lease(call, durable);
    retry(call, backoff_ms(call, extra.errors));
    // A broker that does not know of the retry yet takes the call for running, and sends others
    // behind it: until it is on record the worker's lane stays held.
    if (message.held && durable) {
      instance.deferred_batch = std::max(instance.deferred_batch, last_batch());
    }
    return message.held;
  }
  if (message.status == Errc::expired && call.attempts > 1) {
    end_overdue(call, true);
  } else if (message.status == Errc::cancelled && call.deadline_wall_ms != 0 &&
             call.deadline_wall_ms <= now_.wall_ms && call.extra && call.extra->cancels.empty()) {
    // An earlier broker run asked it to stop, because its time was over.
    end_with(call, Errc::deadline_exceeded, "its deadline passed while it ran");
  } else {
    if (wanted && call.max_retries != 0) {
      bury(call, message.status, error.type + ": " + error.message, nullptr);
    }
    // That it expired is the worker's verdict, not a method's: it is not told early.
    end_call(call, message.status, message.value, message.status != Errc::expired);
  }
  return false;
}

void Core::on_returned(Worker& worker, const wire::Returned& message) {
  const Lease* found = worker.leases.find(message.lease);
  if (found != nullptr) {
    const Lease lease = *found;
    close_lease(worker, message.lease, lease);
    ++counters_.returned;
    lease.call->set_lease(0);  // never begun
    end_unbegun(*lease.call, message.why);
    wake_instance(*lease.instance);
    if (lease.instance->queue && lease.instance->queue->state != QueueState::open) {
      finish_closing(*lease.instance->queue);
    }
  }
  // The worker keeps what it was asked for until the end that this makes is on record.
  if (message.why != Errc::ok) forget(worker, message.lease, last_batch() != 0);
}

/// A call came back that was not begun. `asked`: why it was asked back, perhaps by an earlier
/// broker run, of whose reason nothing else is known; ok when it was not.
void Core::end_unbegun(Call& call, Errc asked) {
  if (call.state == CallState::ended) {
    key_done(call);
    return drop_if_done(call);
  }
  const Errc why = call.extra && (!call.extra->cancels.empty() || call.extra->deadlock ||
                                  call.extra->expire)
                       ? unbegun_end(call)
                       : asked;
  switch (why) {
    case Errc::cancelled:
      if (call.attempts > 0) --call.attempts;
      return end_with(call, why, "cancelled before it began");
    case Errc::deadlock:
      return end_with(call, why, "it would wait behind the call that waits for it");
    case Errc::expired:
      return end_overdue(call, call.attempts > 1);
    default: return put_back(call);
  }
}

void Core::on_window(Worker& worker, const wire::Window& message) {
  Instance* instance = nullptr;
  if (message.slot == 0) {
    instance = worker.task_slot.get();
  } else {
    instance = worker.at_slot(message.slot);
  }
  if (instance == nullptr || message.group >= limits::kGroupsMax) return;
  if (message.group >= instance->groups.size()) instance->groups.resize(message.group + 1);
  instance->groups[message.group].window =
      std::min<std::uint32_t>(message.calls, limits::kConcurrencyMax + limits::kPrefetchMax);
  wake_instance(*instance);
}

bool Core::has_attempts(const Call& call) {
  return call.max_retries < 0 || call.attempts <= call.max_retries;
}

bool Core::wants_retry(const Call& call, Errc status, std::string_view error_type) {
  if (status != Errc::task_error) return false;
  if (call.extra && !call.extra->cancels.empty()) return false;
  const std::optional<wire::RetryOn>& own =
      call.extra ? call.extra->options.retry_on : std::nullopt;
  const std::optional<wire::RetryOn>& rule = own ? own : call.queue->options().retry_on;
  return rule && rule->matches(error_type);
}

std::int64_t Core::backoff_ms(const Call& call, int failures) {
  std::int64_t low = limits::kBackoffMinMs;
  std::int64_t high = limits::kBackoffMaxMs;
  if (call.queue->options().backoff_ms) std::tie(low, high) = *call.queue->options().backoff_ms;
  if (call.extra && call.extra->options.backoff_ms) {
    std::tie(low, high) = *call.extra->options.backoff_ms;
  }
  // Exponential with full jitter between the minimum and the bound of this failure.
  std::int64_t bound = low;
  for (int i = 1; i < failures && bound < high; ++i) bound *= 2;
  bound = std::max(std::min(bound, high), low);
  if (bound <= low) return low;
  return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(bound - low + 1));
}

void Core::retry(Call& call, std::int64_t backoff) {
  if (call.queue->state == QueueState::dead) {
    return end_with(call, call.queue->reason, call.queue->rare().reason_text);
  }
  if (call.extra && call.extra->expire) return end_overdue(call, call.attempts > 0);
  if (lacks_results(call)) {
    return end_lacking(call, "a result that it takes is gone",
                       "it was released before a restart of the broker");
  }
  call.set_lease(0);
  call.state = CallState::waiting;
  call.since_us = now_.mono_us;
  if (backoff > 0) call.more();
  if (call.extra) {
    call.extra->not_before_us = backoff > 0 ? now_.mono_us + backoff * kMicrosPerMilli : 0;
  }
  if (call.durable) {
    call.sent_record = true;
    store_sent(call, false);
    mark(*call.queue);
  }
  Queue& queue = *call.queue;
  enter(call);
  // The slots of tasks ask only the queues that found no room; any of them may take this one.
  if (queue.kind == QueueKind::task) wake(queue);
}

/// An orphan took results that are gone since: it cannot be sent again.
bool Core::lacks_results(const Call& call) {
  if (!call.extra) return false;
  return dependencies(*call.extra).size() > call.extra->holds.size() + call.extra->unresolved;
}

void Core::put_back(Call& call) {
  if (call.attempts > 0) --call.attempts;  // it was not begun: not an attempt
  retry(call, 0);
}

}  // namespace callboard::broker
