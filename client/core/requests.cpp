// What is asked beside calls (resume, cancel, kill, verbs, blocking waits), and its place in the
// order of what leaves.
#include "client/core/session.hpp"

#include <algorithm>

namespace callboard::client {

void Session::resume(std::uint32_t number) {
  Handle& to = handle(number);
  if (!to.detours().doomed.empty() && to.detours().doomed.back().second == kUnbounded) {
    Detours& detours = to.change_detours();
    detours.doomed.back().second = last_seq_;
    to.seen_refusal = detours.doomed.back().first;
    // The held ones were submitted before the refusal could be seen.
    std::deque<std::uint64_t> held;
    held.swap(detours.held);
    for (const std::uint64_t seq : held) {
      if (CallRecord* record = calls_.find(seq)) refuse_before(seq, *record);
    }
  }
  markers_.push_back({.after = last_seq_,
                      .what = Marker::What::resume,
                      .handle = number,
                      .seen = to.seen_refusal});
}

void Session::cancel(Token request, CallId call, bool force) {
  if (ended_) return sink_.on_cancel_answer(request, wire::CancelAnswer::unknown);
  CallRecord* record = call.session == options_.id ? calls_.find(call.seq) : nullptr;
  const bool here = record != nullptr && !(record->extra && record->extra->creation) &&
                    ((record->state == CallState::unsent && call.seq > sent_through_) ||
                     record->state == CallState::held);
  if (here) {
    answer(call.seq, *record, Errc::cancelled, "cancelled before it left");
    return sink_.on_cancel_answer(request, wire::CancelAnswer::cancelled_before_start);
  }
  cancels_[call].emplace_back(request, force);
  cancels_unsent_.insert(call);
}

void Session::kill(Token request, std::uint32_t number, bool restart) {
  if (ended_) return sink_.on_request_answer(request, ended_->first, {});
  Request& entry = requests_[request];
  entry.kill = true;
  entry.handle = number;
  entry.restart = restart;
  markers_.push_back(
      {.after = last_seq_, .what = Marker::What::kill, .handle = number, .request = request});
}

void Session::admin(Token request, std::string verb, std::string info) {
  if (ended_) return sink_.on_request_answer(request, ended_->first, {});
  Request& entry = requests_[request];
  entry.verb = std::move(verb);
  entry.info = std::move(info);
  requests_unsent_.push_back(request);
}

void Session::waiting(CallId self, CallId other, bool begins) {
  if (begins) {
    if (!waits_.insert({self, other}).second) return;
    Marker marker{.after = last_seq_, .what = Marker::What::wait};
    marker.self = self;
    marker.other = other;
    markers_.push_back(marker);
  } else if (waits_.erase({self, other}) > 0 && connected_) {
    waits_ended_.emplace_back(self, other);
  }
}

void Session::pump_markers(Instant now, wire::LinkOut& out) {
  for (std::size_t n = markers_.size(); n > 0; --n) {
    if (markers_.front().after > sent_through_) return;
    Marker marker = markers_.front();
    markers_.pop_front();
    Handle* to = marker.what == Marker::What::wait ? nullptr : &handle(marker.handle);
    switch (marker.what) {
      case Marker::What::open:
        if (to->open) ensure_open(marker.handle, *to, out);
        break;
      case Marker::What::resume: {
        if (!to->open || to->opened_on != connection_) break;  // a new connection is not refusing
        wire::FrameWriter writer = out.message();
        write(writer, wire::Resume{marker.handle, marker.seen});
        break;
      }
      case Marker::What::close:
        if (to->unsettled == 0) {
          write_close(now, marker.handle, *to, out);
        } else {
          marker.after = std::max(marker.after, sent_through_);
          closing_.push_back(marker);
        }
        break;
      case Marker::What::kill: {
        const auto request = requests_.find(marker.request);
        if (request == requests_.end()) break;
        ensure_open(marker.handle, *to, out);
        request->second.sent = true;
        wire::FrameWriter writer = out.message();
        write(writer, wire::Kill{marker.request, marker.handle, request->second.restart});
        break;
      }
      case Marker::What::wait: {
        if (!waits_.contains({marker.self, marker.other})) break;
        wire::FrameWriter writer = out.message();
        write(writer, wire::Waiting{marker.self, marker.other, true});
        break;
      }
    }
  }
}

void Session::write_requests(wire::LinkOut& out) {
  for (const Token token : requests_unsent_) {
    const auto found = requests_.find(token);
    if (found == requests_.end()) continue;
    found->second.sent = true;
    wire::FrameWriter writer = out.message();
    write(writer, wire::Admin{token, found->second.verb, found->second.info});
  }
  requests_unsent_.clear();
  for (const CallId& call : cancels_unsent_) {
    const auto found = cancels_.find(call);
    if (found == cancels_.end()) continue;
    for (const auto& [token, force] : found->second) {
      wire::FrameWriter writer = out.message();
      write(writer, wire::Cancel{call, force});
    }
  }
  cancels_unsent_.clear();
  for (const auto& [self, other] : waits_ended_) {
    wire::FrameWriter writer = out.message();
    write(writer, wire::Waiting{self, other, false});
  }
  waits_ended_.clear();
}

}  // namespace callboard::client
