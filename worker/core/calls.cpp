// The worker session's calls: how they come, end, are told and forgotten.
#include "worker/core/session.hpp"

#include "common/call_messages.hpp"
#include "common/prefetch.hpp"

#include <algorithm>
#include <utility>

namespace callboard::worker {

namespace {

/// So many jobs of several slots are handed over at once, while the rest of a frame is read.
constexpr std::size_t kJobsMax = 128;
/// A longer buffer of a forgotten call is not kept for a later one.
constexpr std::size_t kSpareBytesMax = 1024;

void take(Payload& to, wire::Body& from) {
  if (to.part || from.part) {
    to.part = std::exchange(from.part, Blob());
    if (to.part) return;
  }
  to.text.assign(from.bytes);
}

/// The group that the call itself names, or nothing.
std::string_view group_in(std::string_view options) {
  wire::Reader in(options);
  std::uint32_t n = 0;
  if (!in.map(n)) return {};
  for (; n > 0; --n) {
    std::uint64_t key = 0;
    std::string_view group;
    if (!in.uint(key)) return {};
    if (key == wire::CallOptions::kGroup) return in.str(group) ? group : std::string_view();
    if (!in.skip()) return {};
  }
  return {};
}

}  // namespace

inline WorkerSession::Held& WorkerSession::add_call(const wire::Run& run, const Slot& slot) {
  Held& held = calls_.add(run.lease);
  held.call = run.call;
  held.actor = slot.actor;
  held.incarnation = slot.incarnation;
  held.slot = run.slot;
  held.attempt = run.attempt;
  return held;
}

inline void WorkerSession::Held::reset() {
  group = 0;
  ticket = 0;
  ended = held = taken_back = false;
  status = Errc::ok;
  if (value.part) value.part = Blob();
  value.text.trim(kSpareBytesMax);
}

inline void WorkerSession::forget(std::uint64_t lease, Held& held) {
  if (held.ticket != 0) tickets_.push_back(held.ticket);
  calls_.erase(lease);
}

void WorkerSession::end_here(Held& held, std::uint64_t lease, Errc code, std::string message) {
  held.ended = true;
  held.status = code;
  held.value.text = encoded_error(code, std::move(message));
  ended_leases_.push_back(lease);
}

/// One RUN, and those right behind it. They are read some ahead, to ask for the memory of their
/// actors, of which few are in the caches where there are many: first for the place where a slot is
/// to be found, then for the slot.
bool WorkerSession::on_runs(Instant now, std::uint32_t fields, wire::FrameReader& in) {
  constexpr std::size_t kFindAhead = 4;
  std::size_t read = 0;
  std::size_t found = 0;
  std::size_t taken = 0;
  const auto find_next = [&] {
    ArrivedRun& next = arrived_[found++ % arrived_.size()];
    Slot* const before = cached_slot_;
    next.slot = find_slot(next.run.slot);
    if (next.slot != before) prefetch_to_write(next.slot, Slot::kHotBytes);
  };
  const auto take_next = [&] {
    ArrivedRun& next = arrived_[taken++ % arrived_.size()];
    take_run(now, next.run, next.slot);
    if (next.run.args.part) next.run.args = {};
  };
  bool whole = true;
  std::uint32_t last = 0;
  do {
    ArrivedRun& run = arrived_[read % arrived_.size()];
    whole = wire::read_run(in, fields, run.run);
    if (!whole) break;
    if (std::exchange(last, run.run.slot) != run.run.slot) slots_.expect(run.run.slot);
    if (++read - found > arrived_.size() - kFindAhead) find_next();
    if (read - taken == arrived_.size()) take_next();
  } while (in.message_of(static_cast<std::uint8_t>(wire::Type::run), fields));
  while (found < read) find_next();
  while (taken < read) take_next();
  return whole;
}

/// Takes its arguments, where they are a part.
inline void WorkerSession::take_run(Instant now, wire::Run& run, Slot* slot) {
  if (!leases_seen_.insert(run.lease)) {
    ++counters_.repeated;
    return keep_revoked(run);
  }
  ++counters_.runs;
  if (slot == nullptr || slot->failed || slot->stopping || draining_) {
    ++counters_.returned;
    returned_leases_.push_back(run.lease);
    return;
  }
  Held& held = add_call(run, *slot);
  if (run.method >= slot->methods.size()) {
    return end_here(held, run.lease, Errc::unknown_method,
                    "the broker named no method of that number");
  }
  const Slot::Method method = slot->methods[run.method];
  held.group = run.options.empty() ? method.group
                                   : group_named_by(run.options, *slot, method.group);
  ++slot->groups[held.group].arrived;
  activate(run.slot, *slot);
  queue_job(now, run, method.index);
}

/// A RUN whose REVOKE has overtaken it.
void WorkerSession::keep_revoked(const wire::Run& run) {
  const auto revoked = revoked_ahead_.find(run.lease);
  if (revoked == revoked_ahead_.end()) return;
  const Slot* slot = find_slot(run.slot);
  const Slot nowhere;
  Held& held = add_call(run, slot != nullptr ? *slot : nowhere);
  held.taken_back = held.ended = true;
  held.status = revoked->second;
  revoked_ahead_.erase(revoked);
}

/// The group that a call's options name, if the actor has it.
std::uint8_t WorkerSession::group_named_by(std::string_view options, const Slot& slot,
                                           std::uint8_t otherwise) {
  if (slot.groups.size() == 1) return otherwise;
  const std::string_view name = group_in(options);
  const auto& names = slot.group_names;
  const auto found = std::find(names.begin() + 1, names.end(), name);
  if (name.empty() || found == names.end()) return otherwise;
  return static_cast<std::uint8_t>(found - names.begin());
}

inline void WorkerSession::queue_job(Instant now, wire::Run& run, std::uint32_t method) {
  if (job_count_ >= kJobsMax && run.slot != jobs_[job_count_ - 1].slot) submit_jobs();
  if (job_count_ == jobs_.size()) jobs_.emplace_back();
  Job& job = jobs_[job_count_++];
  if (job_count_ < jobs_.size()) {
    prefetch_to_write(jobs_[job_count_].args.text.data(), 2 * kCacheLine);  // an executor had it
  }
  job.lease = run.lease;
  job.call = run.call;
  job.slot = run.slot;
  job.method = method;
  job.attempt = run.attempt;
  job.ticket = 0;
  job.deadline_us =
      run.deadline_ms > 0 ? now.mono_us + run.deadline_ms * kMicrosPerMilli : kNever;
  take(job.args, run.args);
  job.options.assign(run.options);
}

void WorkerSession::submit_jobs() {
  if (job_count_ == 0) return;
  executors_.submit({jobs_.data(), job_count_});
  job_count_ = 0;
}

/// Something is to be noted of this slot soon: of many, few are in the caches.
inline void WorkerSession::expect_slot(std::uint32_t number) {
  if (number == cached_number_) return;
  const std::unique_ptr<Slot>* const found = slots_.find(number);
  if (found != nullptr) prefetch_to_write(found->get(), Slot::kHotBytes);
}

void WorkerSession::outcomes(std::span<Outcome> outcomes) {
  const std::size_t before = ended_leases_.size();
  ended_leases_.resize(before + outcomes.size());
  auto ended_lease = ended_leases_.begin() + static_cast<std::ptrdiff_t>(before);
  constexpr std::size_t kAhead = 4;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    Outcome& outcome = outcomes[i];
    if (i + kAhead < outcomes.size()) expect_slot(outcomes[i + kAhead].slot);
    Held* const found = calls_.find(outcome.lease);
    if (found == nullptr || found->ended || found->call != outcome.call ||
        found->attempt != outcome.attempt) {
      if (outcome.ticket != 0) tickets_.push_back(outcome.ticket);
      continue;
    }
    Held& held = *found;
    if (Slot* slot = find_slot(held.slot)) {
      slot->groups[held.group].prefetch.ended(1, outcome.ended_us);
      slot->ended = true;
      activate(held.slot, *slot);
      if (outcome.held) ++slot->held;
    }
    if (outcome.fate == Outcome::Fate::returned) {
      ++counters_.returned;
      returned_leases_.push_back(outcome.lease);
      if (held.taken_back) held.ended = true;
      else forget(outcome.lease, held);
      continue;
    }
    ++counters_.ended;
    held.ended = true;
    held.held = outcome.held;
    held.status = outcome.status;
    held.ticket = outcome.ticket;
    held.value.take_over(outcome.value);
    prefetch_to_read(held.value.text.data(), 2 * kCacheLine);  // told at the end of the turn
    if (!held.value.part && held.value.text.size() >= limits::kPartBytesMin) {
      // Sent and sent again without a copy.
      held.value.part = Blob(std::string(held.value.view()));
      held.value.text.clear();
    }
    *ended_lease++ = outcome.lease;
  }
  ended_leases_.erase(ended_lease, ended_leases_.end());
}

bool WorkerSession::on_forget(std::uint32_t fields, wire::FrameReader& in) {
  wire::Forget message;
  if (!wire::read(in, fields, message)) return false;
  bool unanswered = false;
  const auto confirmed = [&](std::uint64_t lease) {
    if (!revoked_ahead_.empty()) revoked_ahead_.erase(lease);
    calls_.erase_if(lease, [&](const Held& held) {
      if (!held.ended) return false;
      if (held.held) {
        const Slot* slot = find_slot(held.slot);
        unanswered = unanswered || (slot != nullptr && slot->held > 0);
      }
      if (held.ticket != 0) tickets_.push_back(held.ticket);
      return true;
    });
  };
  for (const auto& [first, count] : message.leases) {
    if (count > calls_.size() + revoked_ahead_.size()) {  // cheaper by what is here
      std::erase_if(revoked_ahead_,
                    [&](const auto& entry) { return entry.first - first < count; });
      for (const std::uint64_t lease : calls_.numbers()) {
        if (lease >= first && lease - first < count) confirmed(lease);
      }
      continue;
    }
    for (std::uint64_t lease = first; lease - first < count; ++lease) confirmed(lease);
  }
  if (unanswered) release_lanes();
  return true;
}

bool WorkerSession::on_revoke(std::uint32_t fields, wire::FrameReader& in, wire::LinkOut& out) {
  wire::Revoke message;
  if (!wire::read(in, fields, message)) return false;
  wire::CancelAnswer answer = wire::CancelAnswer::unknown;
  if (Held* const found = calls_.find(message.lease)) {
    answer = wire::CancelAnswer::too_late;
    if (found->taken_back) {
      answer = wire::CancelAnswer::cancelled_before_start;  // asked again: the same answer
    } else if (!found->ended) {
      submit_jobs();
      switch (executors_.revoke(found->slot, message.lease, message.running_too)) {
        case Revoked::returned:
          answer = wire::CancelAnswer::cancelled_before_start;
          found->taken_back = true;
          found->status = message.why;
          break;
        case Revoked::stopping: answer = wire::CancelAnswer::stopping; break;
        case Revoked::running:
        case Revoked::unknown: break;
      }
    }
  } else if (revoked_ahead_.contains(message.lease)) {
    answer = wire::CancelAnswer::cancelled_before_start;  // asked again, for another reason
  } else if (leases_seen_.insert(message.lease)) {
    // It has overtaken its RUN, which will be taken for a repetition.
    answer = wire::CancelAnswer::cancelled_before_start;
    ++counters_.returned;
    revoked_ahead_.emplace(message.lease, message.why);
    returned_leases_.push_back(message.lease);
  }
  wire::FrameWriter writer = out.message();
  wire::write(writer, wire::RevokeAnswer{message.lease, answer});
  return true;
}

void WorkerSession::take_back(bool tell, const Where* where) {
  submit_jobs();
  std::vector<std::uint64_t> taken;
  calls_.each([&](std::uint64_t lease, const Held& call) {
    if (where != nullptr && call.slot != where->slot) return;
    if (where != nullptr && where->group >= 0 && call.group != where->group) return;
    // An outcome without a ticket is of a call that never began: nobody need know of it.
    const bool unbegun =
        call.ended ? call.ticket == 0 && !tell && !call.taken_back
                   : executors_.revoke(call.slot, lease, false) == Revoked::returned;
    if (unbegun) taken.push_back(lease);
  });
  for (const std::uint64_t lease : taken) {
    Held& call = *calls_.find(lease);
    Slot* slot = find_slot(call.slot);
    if (!call.ended && slot != nullptr) {
      Group& group = slot->groups[call.group];
      group.arrived > 0 ? void(--group.arrived) : group.prefetch.ended(1);
      slot->ended = true;
    }
    forget(lease, call);
    if (tell) returned_leases_.push_back(lease);
  }
  counters_.returned += taken.size();
}

void WorkerSession::drain() {
  if (draining_) return;
  draining_ = true;
  take_back(true);
  slots_.each([this](std::uint64_t number, const auto&) {
    windows_changed_.push_back(static_cast<std::uint32_t>(number));
  });
}

}  // namespace callboard::worker
