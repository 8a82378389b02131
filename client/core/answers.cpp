// What arrives: acknowledgements, refusals, results, room in full queues, answers to requests.
#include "client/core/session.hpp"

#include "common/call_run.hpp"

#include <algorithm>

namespace callboard::client {

namespace {

/// Whether the broker refuses what follows until it hears `resume`. It does not where the queue
/// itself is not there: then every call is refused for that reason.
bool holds_back(Errc code) {
  switch (code) {
    case Errc::unknown_actor:
    case Errc::unknown_class:
    case Errc::unknown_task:
    case Errc::actor_died:
    case Errc::constructor_failed:
    case Errc::name_taken:
      return false;
    default:
      return true;
  }
}

}  // namespace

bool Session::on_message(Instant now, std::uint64_t type, std::uint32_t fields,
                         wire::FrameReader& in, wire::LinkOut& out) {
  switch (static_cast<wire::Type>(type)) {
    case wire::Type::result:
      return on_results(now, fields, in);
    case wire::Type::accepted:
      return on_accepted(fields, in, out);
    case wire::Type::refused:
      return on_refused(now, fields, in);
    case wire::Type::opened:
      return on_opened(fields, in);
    case wire::Type::parked:
      return on_parked(fields, in);
    case wire::Type::room:
      return on_room(now, fields, in, out);
    case wire::Type::cancel_answer:
      return on_cancel_answer(fields, in);
    case wire::Type::admin_answer:
      return on_admin_answer(fields, in);
    default:
      return in.skip_fields(fields);
  }
}

bool Session::on_opened(std::uint32_t fields, wire::FrameReader& in) {
  wire::Opened message;
  if (!read(in, fields, message)) return false;
  if (message.handle >= handles_.size()) return true;
  Handle& to = handle(message.handle);
  if (to.answers_due == 0) return true;
  --to.answers_due;
  if (!to.open) {
    if (to.answers_due == 0) free_handles_.push_back(message.handle);
    return true;
  }
  const bool created = to.creation != 0;
  to.code = message.code;
  to.text = message.text;
  if (message.code == Errc::ok) {
    if (to.target.kind != wire::TargetKind::task) {
      to.target.kind = wire::TargetKind::actor;
      to.target.actor = message.actor;
    }
    to.durability = message.durability;
    to.when_full = message.when_full;
    to.retried = message.retried;
  } else if (created) {
    to.create_failed = true;
  } else {
    to.opened_on = 0;  // the next call tries again: the name may exist by then
  }
  settle_of_before(to, message.code != Errc::ok || message.durability == wire::Durability::memory);
  if (created) {
    // The creation was answered, so it was accepted; its number needs no other answer.
    if (CallRecord* record = calls_.find(to.creation)) {
      if (record->extra && record->extra->creation) forget(to.creation, *record);
    }
    to.creation = 0;
  }
  sink_.on_opened(message.handle, message);
  return true;
}

bool Session::on_accepted(std::uint32_t fields, wire::FrameReader& in, wire::LinkOut& out) {
  wire::Accepted message;
  if (!read(in, fields, message)) return false;
  out.commit_no = message.commit_no;
  const std::uint64_t through = std::min(message.through, sent_through_);
  for (std::uint64_t seq = calls_.next(accepted_through_ + 1, through); seq <= through;
       seq = calls_.next(seq + 1, through)) {
    expect_handle_behind(seq);
    CallRecord& record = *calls_.find(seq);
    if (record.state == CallState::sent) accept(seq, record);
  }
  accepted_through_ = std::max(accepted_through_, through);
  drop_kept();
  if (limbo_.empty()) return true;
  for (const auto& [first, count] : message.again) {
    auto at = limbo_.lower_bound(first);
    while (at != limbo_.end() && *at - first < count) {
      const std::uint64_t seq = *at++;
      CallRecord* record = calls_.find(seq);
      if (record != nullptr && record->state == CallState::resent) accept(seq, *record);
    }
  }
  return true;
}

bool Session::on_refused(Instant now, std::uint32_t fields, wire::FrameReader& in) {
  wire::Refused message;
  if (!read(in, fields, message)) return false;
  CallRecord* record = calls_.find(message.seq);
  if (record == nullptr) {
    ++repeated_answers_;
    return true;
  }
  if (record->state == CallState::unsent || record->state == CallState::held) return true;
  Handle& to = handle(record->handle);
  const bool expected = message.code == Errc::refused_before && is_doomed(message.seq, *record);
  const auto& doomed = to.detours().doomed;
  const bool first = !expected && (doomed.empty() || doomed.back().second != kUnbounded);
  if (first && holds_back(message.code)) {
    to.change_detours().doomed.emplace_back(message.seq, kUnbounded);
  }
  ErrorInfo error;
  error.code = message.code;
  error.message = message.text;
  error.place = to.target.name;
  if (message.code != Errc::refused_before) {
    to.retry_after_ms = static_cast<std::int64_t>(
        std::min<std::uint64_t>(message.retry_after_ms, limits::kDurationMsMax));
  }
  error.retry_after_ms = to.retry_after_ms;
  const std::string bytes = wire::encode(error);
  const std::uint32_t number = record->handle;
  const Token token = record->token;
  forget(message.seq, *record);
  if (message.room > 0) tell_full(now, number, to, message);
  else if (!holds_back(message.code)) tell_not_full(number, to);
  if (expected || !holds_back(message.code)) {
    if (token != 0) sink_.on_answer(token, message.code, {bytes, Blob()});
  } else {
    sink_.on_refused(token, number, message.code, bytes);
  }
  return true;
}

/// Asks for what a result changes that comes a few later, where all of them are as long as the one
/// that was read; otherwise for that of a call submitted a few later.
[[gnu::always_inline]] inline void Session::expect_result(const wire::FrameReader& in,
                                                          std::size_t bytes, std::uint64_t seq) {
  constexpr std::size_t kAhead = 5;
  wire::Reader ahead;
  std::uint64_t number = 0;
  const auto type = static_cast<std::uint8_t>(wire::Type::result);
  const bool seen = in.glance(type, (kAhead - 1) * bytes, ahead) && ahead.uint(number);
  const CallRecord* const record = calls_.find(seen ? number : seq + kAhead);
  if (record == nullptr) return;
  sink_.expect_answer(record->token);
  expect_call(record->handle);
}

/// Reads all that follow one another: most of what comes are results.
bool Session::on_results(Instant now, std::uint32_t fields, wire::FrameReader& in) {
  wire::CallResult message;
  std::size_t left = in.rest().size();
  do {
    if (!wire::read_result(in, fields, message)) return false;
    expect_result(in, left - in.rest().size(), message.seq);
    left = in.rest().size();
    if (!end_plain(now, message)) on_result(now, message);
  } while (in.message_of(static_cast<std::uint8_t>(wire::Type::result), fields));
  return true;
}

/// What on_result() does for a call that left once and has nothing special. False, and nothing was
/// done, when this is none.
[[gnu::always_inline]] inline bool Session::end_plain(Instant now,
                                                      const wire::CallResult& message) {
  const CallRecord* const record = calls_.find(message.seq);
  if (record == nullptr || record->extra || record->released) return false;
  const bool sent = record->state == CallState::sent;
  if (!sent && record->state != CallState::accepted) return false;
  const Token token = record->token;
  Handle& to = handle(record->handle);
  ++to.progress.ended;
  if (sent) {
    ++to.progress.accepted;
    settle(*record, to);
  } else if (to.told_full) {
    note_progress(*record);
  }
  calls_.erase(message.seq);
  take(now, message.seq);
  if (token != 0) sink_.on_answer(token, message.status, message.value);
  return true;
}

void Session::on_result(Instant now, const wire::CallResult& message) {
  if (message.seq > last_seq_) return;  // not a number of ours
  CallRecord* record = calls_.find(message.seq);
  if (record == nullptr) {
    ++repeated_answers_;
    take(now, message.seq);
    return;
  }
  if (record->state == CallState::held ||
      (record->state == CallState::unsent && message.seq > sent_through_)) {
    return;  // it was never sent
  }
  const Token token = record->token;
  Handle& to = handle(record->handle);
  ++to.progress.ended;
  if (record->state != CallState::accepted) ++to.progress.accepted;
  if (to.told_full) note_progress(*record);
  forget(message.seq, *record);
  take(now, message.seq);
  if (token != 0) sink_.on_answer(token, message.status, message.value);
}

// --- full queues --------------------------------------------------------------------------------

bool Session::on_parked(std::uint32_t fields, wire::FrameReader& in) {
  wire::Parked message;
  if (!read(in, fields, message)) return false;
  if (message.handle >= handles_.size() || !handle(message.handle).open) return true;
  Handle& to = handle(message.handle);
  to.parked = true;
  const auto park_later = [&](std::uint64_t seq) {
    CallRecord* record = calls_.find(seq);
    if (record == nullptr || record->handle != message.handle) return;
    if (record->state == CallState::sent || record->state == CallState::resent) {
      park(seq, *record, to);
    }
  };
  const std::set<std::uint64_t> resent = to.detours().resent;
  for (auto at = resent.lower_bound(message.seq); at != resent.end(); ++at) park_later(*at);
  // Whatever left after the first refused one met the same full queue.
  for (std::uint64_t seq = std::max(message.seq, accepted_through_ + 1); seq <= sent_through_;
       ++seq) {
    park_later(seq);
  }
  if (message.seq <= accepted_through_) park_later(message.seq);
  tell_parked(message.handle, to, true);
  return true;
}

void Session::park(std::uint64_t seq, CallRecord& record, Handle& to) {
  own_bytes(record);
  leave_flight(record);
  record.state = CallState::parked;
  Detours& detours = to.change_detours();
  detours.resent.erase(seq);
  detours.parked.insert(seq);
  limbo_.insert(seq);
}

bool Session::on_room(Instant now, std::uint32_t fields, wire::FrameReader& in,
                      wire::LinkOut& out) {
  wire::Room message;
  if (!read(in, fields, message)) return false;
  if (message.handle >= handles_.size() || !handle(message.handle).open) return true;
  Handle& to = handle(message.handle);
  to.parked = false;
  tell_not_full(message.handle, to);
  const std::uint64_t offered = resend_parked(now, to, message.calls, out);
  to.room_left = offered < message.calls;
  if (to.detours().parked.empty()) parking_done(message.handle, to);
  return true;
}

void Session::parking_done(std::uint32_t number, Handle& to) {
  if (!to.detours().held.empty()) return;  // release_held() comes back here
  if (to.room_left) {
    // What nobody needs is for others.
    to.room_left = false;
    markers_.push_back({.after = last_seq_, .what = Marker::What::resume, .handle = number});
  }
  tell_parked(number, to, false);
}

std::uint64_t Session::resend_parked(Instant now, Handle& to, std::uint64_t count,
                                     wire::LinkOut& out) {
  std::uint64_t offered = 0;
  while (offered < count && !to.detours().parked.empty()) {
    std::set<std::uint64_t>& parked = to.change_detours().parked;
    const std::uint64_t seq = *parked.begin();
    parked.erase(parked.begin());
    CallRecord* record = calls_.find(seq);
    if (record == nullptr) continue;
    write_call(now, seq, *record, out);
    record = calls_.find(seq);
    if (record == nullptr) {
      write_taken(out);  // it ended instead, past its deadline: those behind it take its place
      continue;
    }
    record->state = CallState::resent;
    to.change_detours().resent.insert(seq);
    ++offered;
  }
  return offered;
}

void Session::tell_parked(std::uint32_t number, Handle& to, bool parked) {
  if (to.told_parked == parked) return;
  to.told_parked = parked;
  sink_.on_parked(number, parked);
}

void Session::tell_full(Instant now, std::uint32_t number, Handle& to,
                        const wire::Refused& refused) {
  const std::uint64_t wait_ms = std::min(refused.retry_after_ms, limits::kRetryAfterMaxMs);
  if (!to.open || wait_ms == 0) return;
  to.told_full = true;
  FullTold told;
  told.now_us = now.mono_us;
  told.retry_after_us = static_cast<std::int64_t>(wait_ms) * kMicrosPerMilli;
  told.room = refused.room;
  told.all = to.when_full == wire::WhenFull::reject;
  told.progress = to.progress;
  sink_.on_full(number, told);
}

void Session::tell_not_full(std::uint32_t number, Handle& to) {
  if (!std::exchange(to.told_full, false)) return;
  sink_.on_not_full(number);
}

void Session::note_progress(const CallRecord& record) {
  Handle& to = handle(record.handle);
  if (!to.told_full || std::exchange(to.progressed, true)) return;
  full_.push_back(record.handle);
}

void Session::tell_progress() {
  for (const std::uint32_t number : full_) {
    Handle& to = handle(number);
    if (std::exchange(to.progressed, false) && to.told_full) sink_.on_progress(number, to.progress);
  }
  full_.clear();
}

// --- ends ---------------------------------------------------------------------------------------

void Session::accept(std::uint64_t seq, CallRecord& record) {
  ++handle(record.handle).progress.accepted;
  if ((record.flags & kNoResult) != 0) return forget(seq, record);
  settle(record, handle(record.handle));
  if (record.state == CallState::resent) {
    handle(record.handle).change_detours().resent.erase(seq);
    limbo_.erase(seq);
  }
  record.state = CallState::accepted;
  record.args = record.options = {};
  record.extra.reset();
}

void Session::forget(std::uint64_t seq, CallRecord& record) {
  if (record.released) handle(record.handle).change_detours().released.erase(record.order);
  if (record.state != CallState::accepted) settle(record, handle(record.handle));
  if (record.state == CallState::parked || record.state == CallState::resent) {
    Detours& detours = handle(record.handle).change_detours();
    detours.parked.erase(seq);
    detours.resent.erase(seq);
    limbo_.erase(seq);
  }
  calls_.erase(seq);
}

void Session::answer(std::uint64_t seq, CallRecord& record, Errc status, std::string message,
                     std::string causes) {
  const Token token = record.token;
  ErrorInfo error;
  error.code = status;
  error.message = std::move(message);
  error.causes = std::move(causes);
  error.place = handle(record.handle).target.name;
  if (status == Errc::refused_before) error.retry_after_ms = handle(record.handle).retry_after_ms;
  if (record.state == CallState::parked) give_up(seq);
  forget(seq, record);
  if (token == 0) return;
  const std::string bytes = wire::encode(error);
  sink_.on_answer(token, status, {bytes, Blob()});
}

void Session::refuse_before(std::uint64_t seq, CallRecord& record) {
  answer(seq, record, Errc::refused_before, "an earlier call of this queue was refused");
}

// --- requests -----------------------------------------------------------------------------------

bool Session::on_cancel_answer(std::uint32_t fields, wire::FrameReader& in) {
  wire::CancelAnswered message;
  if (!read(in, fields, message)) return false;
  const auto found = cancels_.find(message.call);
  if (found == cancels_.end()) return true;
  const auto requests = std::move(found->second);
  cancels_.erase(found);
  cancels_unsent_.erase(message.call);
  for (const auto& [token, force] : requests) sink_.on_cancel_answer(token, message.answer);
  return true;
}

bool Session::on_admin_answer(std::uint32_t fields, wire::FrameReader& in) {
  wire::AdminAnswer message;
  if (!read(in, fields, message)) return false;
  if (requests_.erase(message.request) > 0) {
    sink_.on_request_answer(message.request, message.code, message.info);
  }
  return true;
}

}  // namespace callboard::client
