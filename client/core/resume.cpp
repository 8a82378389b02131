// What a welcome, a lost connection, a forgotten session or the end leaves of the calls.
#include "client/core/session.hpp"

#include <algorithm>
#include <utility>

namespace callboard::client {

namespace {

/// For longer no broker serves without its store.
constexpr std::int64_t kProvisionalUs = 10'000'000;

}  // namespace

void Session::fill_hello(wire::Hello& hello) {
  hello.role = wire::Role::client;
  hello.session = value_of(options_.id);
  hello.resume = known_;
  hello.name = options_.name;
  hello.host = options_.host;
  hello.pid = options_.pid;
  // All up to here were accepted, or refused and told.
  hello.acked_through = accepted_through_;
  if (!limbo_.empty()) hello.acked_through = std::min(hello.acked_through, *limbo_.begin() - 1);
  if (!resends_.empty()) hello.acked_through = std::min(hello.acked_through, resends_.front() - 1);
}

void Session::on_welcome(Instant now, const wire::Welcome& welcome, bool new_epoch,
                         wire::LinkOut&) {
  ++connection_;
  connected_ = true;
  if (!welcome.provisional) known_ = true;
  if (!known_ && provisional_us_ == kNever) provisional_us_ = now.mono_us;
  settle_sent(welcome, new_epoch);
  reopen_handles();
  if (with_deadline_ > 0 && expire_due_us_ == kNever) expire_due_us_ = now.mono_us;
  sink_.on_connected(true);
}

/// A broker that has not recorded the session took nothing durable, and the next one may begin it;
/// but not after so long that there may have been a record which is gone again.
void Session::look_whether_known(Instant now) {
  if (known_ || provisional_us_ == kNever) return;
  known_ = accepted_through_ > 0 || now.mono_us - provisional_us_ >= kProvisionalUs;
}

void Session::settle_sent(const wire::Welcome& welcome, bool new_epoch) {
  const std::uint64_t through = std::min(welcome.accepted_through, sent_through_);
  std::uint64_t first_open = through + 1;  // the first that has come to the broker and may be lost
  std::vector<std::uint64_t> refused = welcome.refused;
  std::sort(refused.begin(), refused.end());
  resends_.clear();
  for (const auto& each : handles_) each->of_before.clear();
  std::vector<std::uint64_t> numbers = calls_.numbers();
  std::sort(numbers.begin(), numbers.end());
  for (const std::uint64_t seq : numbers) {
    CallRecord& record = *calls_.find(seq);
    const CallState state = record.state;
    if (state == CallState::held || seq > sent_through_) continue;
    const bool told = state == CallState::accepted;
    const bool left = told || state == CallState::sent || state == CallState::resent;
    const bool accepted =
        seq <= through && !std::binary_search(refused.begin(), refused.end(), seq);
    // Its level is in the answer to the open that follows; the store has it if it is durable.
    const bool undecided = new_epoch && left && accepted && is_unknown(record);
    if (undecided) handle(record.handle).of_before.push_back(seq);
    if (new_epoch && left && !undecided && is_memory(record)) {
      end_memory_call(seq, record);
    } else if (accepted && told) {
      continue;
    } else if (!told && is_doomed(seq, record)) {
      // Also when the broker does not name it: it forgets refusals when it hears of a resume.
      refuse_before(seq, record);
    } else if (accepted) {
      // It is not sent again, nor decided here; the acknowledgement follows once it is stored.
      if (!left) {
        ++unacked_calls_;
        unacked_bytes_ += record.bytes;
      }
      record.state = CallState::sent;
      first_open = std::min(first_open, seq);
    } else if (told) {
      // Another run of the broker, and its store does not have what was acknowledged.
      if (new_epoch) answer(seq, record, Errc::lost, "the store lost it after it was acknowledged");
    } else {
      own_bytes(record);
      leave_flight(record);
      record.state = CallState::unsent;
      resends_.push_back(seq);
    }
  }
  accepted_through_ = first_open - 1;
  seen_through_ = through;
  limbo_.clear();
  drop_kept();
}

/// Whether nobody here can say at which level the call is.
bool Session::is_unknown(const CallRecord& record) {
  return (record.flags & (kMemory | kDurable)) == 0 && !handle(record.handle).durability;
}

/// The broker has said what the queue promises: calls of level memory went with the one before.
void Session::settle_of_before(Handle& to, bool memory) {
  const std::vector<std::uint64_t> seqs = std::exchange(to.of_before, {});
  if (!memory) return;
  for (const std::uint64_t seq : seqs) {
    if (CallRecord* record = calls_.find(seq)) end_memory_call(seq, *record);
  }
}

bool Session::is_memory(const CallRecord& record) {
  if ((record.flags & kMemory) != 0) return true;
  if ((record.flags & kDurable) != 0) return false;
  // While the broker has not said what the queue promises, nobody can know.
  return handle(record.handle).durability.value_or(wire::Durability::memory) ==
         wire::Durability::memory;
}

bool Session::is_retried(const CallRecord& record) {
  if ((record.flags & kRetried) != 0) return true;
  if ((record.flags & kOnce) != 0) return false;
  return handle(record.handle).retried;
}

void Session::end_memory_call(std::uint64_t seq, CallRecord& record) {
  if (is_retried(record)) {
    answer(seq, record, Errc::lost, "it was only in the memory of a broker that is gone");
  } else {
    answer(seq, record, Errc::maybe_executed,
           "it was only in the memory of a broker that is gone; it may have run");
  }
}

bool Session::is_doomed(std::uint64_t seq, const CallRecord& record) {
  for (const auto& [first, last] : handle(record.handle).detours().doomed) {
    if (seq > first && seq <= last) return true;
  }
  return false;
}

/// Another connection, or another session, knows nothing of them.
void Session::forget_parked(Handle& to) {
  if (to.detours().empty() && to.detours().resent.empty()) return;
  to.change_detours().parked.clear();
  to.change_detours().resent.clear();
}

void Session::reopen_handles() {
  for (std::uint32_t number = 0; number < handles_.size(); ++number) {
    Handle& to = *handles_[number];
    if (!to.open) continue;
    to.answers_due = 0;
    tell_not_full(number, to);
    to.parked = to.room_left = false;
    forget_parked(to);
    if (to.detours().held.empty()) tell_parked(number, to, false);
    // Most are opened again with their next call; a creation's answer is waited for.
    const CallRecord* creation = to.creation == 0 ? nullptr : calls_.find(to.creation);
    const bool came = creation != nullptr && creation->state == CallState::sent;
    if ((to.creation != 0 && (creation == nullptr || came)) || !to.of_before.empty()) {
      markers_.push_back({.after = sent_through_, .what = Marker::What::open, .handle = number});
    }
  }
  // It is not known whether the last closes arrived.
  for (const Closed& closed : closed_) {
    const std::uint32_t number = new_handle();
    Handle& to = handle(number);
    to.target = closed.target;
    to.owned = true;
    close(number);
  }
  closed_.clear();
  for (auto& [token, request] : requests_) {
    if (request.kill && request.sent) {
      request.sent = false;
      markers_.push_back({.after = sent_through_, .what = Marker::What::kill,
                          .handle = request.handle, .request = token});
    }
  }
  for (const auto& [call, requests] : cancels_) cancels_unsent_.insert(call);
  for (const auto& [self, other] : waits_) {
    Marker marker{.after = sent_through_, .what = Marker::What::wait};
    marker.self = self;
    marker.other = other;
    markers_.push_back(marker);
  }
}

void Session::on_disconnected(Instant now) {
  connected_ = false;
  look_whether_known(now);
  taken_.clear();
  taken_count_ = 0;
  taken_due_us_ = kNever;
  waits_ended_.clear();
  for (std::uint32_t number = 0; number < handles_.size(); ++number) {
    Handle& to = *handles_[number];
    if (!to.open && to.answers_due > 0) free_handles_.push_back(number);
    to.answers_due = 0;
  }
  // Whether they were done is not known, and doing them twice may be wrong.
  for (auto at = requests_.begin(); at != requests_.end();) {
    if (!at->second.sent || (at->second.kill && !at->second.handle_gone)) {
      ++at;
      continue;
    }
    const Token token = at->first;
    at = requests_.erase(at);
    sink_.on_request_answer(token, Errc::disconnected, {});
  }
  sink_.on_connected(false);
}

void Session::on_session_unknown(Instant, bool lost) {
  std::vector<std::uint64_t> numbers = calls_.numbers();
  std::sort(numbers.begin(), numbers.end());
  options_.id = new_id();
  known_ = false;
  provisional_us_ = kNever;
  for (const std::uint64_t seq : numbers) {
    CallRecord& record = *calls_.find(seq);
    const bool left = seq <= sent_through_ && record.state != CallState::held;
    if (!left) {
      number(seq, record);  // the same number, in another session
      continue;
    }
    if (record.extra && record.extra->creation) {
      // Whether it was made is not known. Where it has a name, that leads to it.
      Handle& to = handle(record.handle);
      to.creation = 0;
      if (!to.target.name.empty()) to.target.kind = wire::TargetKind::name;
      markers_.push_back(
          {.after = sent_through_, .what = Marker::What::open, .handle = record.handle});
      forget(seq, record);
      continue;
    }
    if (lost && record.state == CallState::accepted) {
      answer(seq, record, Errc::lost, "the store lost it after it was acknowledged");
      continue;
    }
    answer(seq, record, Errc::maybe_executed,
           "the broker no longer knows this client's session; it may have run");
  }
  // What is refused until its user has seen why stays refused.
  for (auto& to : handles_) forget_parked(*to);
  resends_.clear();
  limbo_.clear();
  closed_.clear();
  taken_.clear();
  taken_count_ = 0;
  taken_due_us_ = kNever;
  accepted_through_ = seen_through_ = sent_through_;
  drop_kept();
}

void Session::expire_waiting(Instant now) {
  const auto expire = [&](std::uint64_t seq) {
    CallRecord* record = calls_.find(seq);
    if (record == nullptr || !record->extra || record->extra->deadline_us > now.mono_us) return;
    answer(seq, *record, Errc::expired, "its deadline passed before the broker took it");
  };
  // Only those that the broker does not have; the others are its business.
  for (std::uint64_t seq = sent_through_ + 1; seq <= last_seq_; ++seq) expire(seq);
  for (const std::uint32_t number : std::set<std::uint32_t>(holding_)) {
    const std::deque<std::uint64_t> held = handle(number).detours().held;
    for (const std::uint64_t seq : held) expire(seq);
  }
  for (const std::uint64_t seq : std::set<std::uint64_t>(limbo_)) {
    const CallRecord* record = calls_.find(seq);
    if (record != nullptr && record->state == CallState::parked) expire(seq);
  }
}

void Session::on_ended(Instant, const wire::Goodbye& why) {
  const bool closed = why.code == Errc::ok || why.code == Errc::stopping;
  end(closed ? Errc::disconnected : why.code, closed ? "the client was closed" : why.text);
}

void Session::end(Errc code, const std::string& text) {
  if (ended_) return;
  ended_ = {code, text};
  connected_ = false;
  std::vector<std::uint64_t> numbers = calls_.numbers();
  std::sort(numbers.begin(), numbers.end());
  for (const std::uint64_t seq : numbers) {
    if (CallRecord* record = calls_.find(seq)) answer(seq, *record, code, text);
  }
  for (std::uint32_t number = 0; number < handles_.size(); ++number) {
    Handle& to = *handles_[number];
    if (!to.detours().held.empty()) to.change_detours().held.clear();
    if (!to.open) continue;
    to.parked = false;
    tell_parked(number, to, false);
    tell_not_full(number, to);
    wire::Opened opened;
    opened.handle = number;
    opened.code = code;
    opened.text = text;
    sink_.on_opened(number, opened);
  }
  holding_.clear();
  closing_.clear();
  limbo_.clear();
  resends_.clear();
  markers_.clear();
  kept_.clear();
  const auto requests = std::move(requests_);
  requests_.clear();
  for (const auto& [token, request] : requests) sink_.on_request_answer(token, code, {});
  const auto cancels = std::move(cancels_);
  cancels_.clear();
  for (const auto& [call, tokens] : cancels) {
    for (const auto& [token, force] : tokens) {
      sink_.on_cancel_answer(token, wire::CancelAnswer::unknown);
    }
  }
  sink_.on_connected(false);
  if (settled_calls_ > 0) sink_.on_settled(settled_calls_, settled_bytes_);
  settled_calls_ = settled_bytes_ = 0;
}

}  // namespace callboard::client
