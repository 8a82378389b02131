// Calls that take the results of others: bound when accepted, told when those end.
#include "broker/core/core.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

std::vector<CallId> Core::dependencies(const CallExtra& extra) {
  std::vector<CallId> needed = extra.options.after;
  for (const wire::Ref& ref : extra.options.refs) needed.push_back(ref.call);
  std::sort(needed.begin(), needed.end());
  needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
  return needed;
}

/// A result that it takes has expired. One that has begun cannot be run again without it, and
/// nobody knows how far it came.
void Core::end_lacking(Call& call, const std::string& what, const std::string& expired) {
  const bool begun = call.attempts > 0;
  end_with(call, begun ? Errc::maybe_executed : Errc::dependency_failed,
           (begun ? "it may have run, and " : "") + what, "result_expired: " + expired);
}

/// A refusal that was lost with its connection lets the client offer the call again.
void Core::note_missed(CallId id) {
  const auto session = sessions_.find(id.session);
  if (session == sessions_.end()) return;
  const auto refused = session->second->refused.find(id.seq);
  if (refused != session->second->refused.end()) refused->second.missed = true;
}

bool Core::bind_dependencies(Call& call) {
  CallExtra& extra = *call.extra;
  for (const CallId id : dependencies(extra)) {
    Call* other = find_call(id);
    if (other == &call) other = nullptr;
    if (other == nullptr || (other->state == CallState::ended && other->status != Errc::ok)) {
      // It was sent, so they were there: they may be gone because it has ended.
      if (call.orphan) continue;
    }
    if (other == nullptr) {
      note_missed(id);
      const std::string name = "call " + to_string(id);
      end_lacking(call, "the result of " + name + " is gone", name);
      return false;
    }
    if (other->state == CallState::ended && other->status != Errc::ok) {
      const ErrorInfo cause = wire::decode_error(other->value(), other->status);
      end_with(call, Errc::dependency_failed, "call " + to_string(id) + " failed",
               std::string(name_of(cause.code)) + ": " + cause.message +
                   (cause.causes.empty() ? "" : "\n" + cause.causes));
      return false;
    }
    if (other->state == CallState::ended) {
      ++other->more().holders;
      extra.holds.push_back(other);
      // Once another call may see it, it is final.
      if (other->durable && !other->recorded) record_result(*other);
    } else {
      other->more().dependents.push_back(&call);
      ++extra.unresolved;
    }
  }
  return true;
}

void Core::end_dependents(Call& call) {
  std::vector<Call*> dependents;
  dependents.swap(call.extra->dependents);
  std::string causes;
  if (call.status != Errc::ok) {
    const ErrorInfo cause = wire::decode_error(call.value(), call.status);
    causes = std::string(name_of(call.status)) + ": " + cause.message + " (call " +
             to_string(call.id()) + ")" + (cause.causes.empty() ? "" : "\n" + cause.causes);
  }
  ++call.extra->holders;  // it stays until all have been told
  for (Call* dependent : dependents) {
    if (dependent->state == CallState::ended) continue;
    if (call.status != Errc::ok) {
      end_with(*dependent, Errc::dependency_failed, "call " + to_string(call.id()) + " failed",
               causes);
      continue;
    }
    ++call.extra->holders;
    dependent->extra->holds.push_back(&call);
    if (--dependent->extra->unresolved == 0) {
      enter(*dependent);
      wake(*dependent->queue);
    }
  }
  --call.extra->holders;
  drop_if_done(call);
}

void Core::release_holds(Call& call) {
  if (call.extra->unresolved > 0) {
    // It ends before what it waited for: nobody may wake it any more.
    for (const CallId id : dependencies(*call.extra)) {
      Call* other = find_call(id);
      if (other != nullptr && other->extra) std::erase(other->extra->dependents, &call);
    }
    call.extra->unresolved = 0;
  }
  std::vector<Call*> holds;
  holds.swap(call.extra->holds);
  for (Call* held : holds) {
    CALLBOARD_CHECK(held->extra && held->extra->holders > 0);
    --held->extra->holders;
    drop_if_done(*held);
  }
}

}  // namespace callboard::broker
