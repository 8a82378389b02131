#include <callboard/error.hpp>

#include <array>

namespace callboard {

namespace {

// Indexed by code.
constexpr std::array<std::string_view, 36> kNames = {
    "ok", "task_error", "actor_died", "maybe_executed", "deadline_exceeded", "expired", "cancelled",
    "dependency_failed", "queue_full", "unknown_class", "unknown_method", "unknown_actor",
    "unknown_task", "bad_arguments", "too_large", "deadlock", "result_expired", "poisoned",
    "constructor_failed", "name_taken", "refused_before", "protocol_error", "version_unsupported",
    "unknown_session", "not_permitted", "store_unavailable", "store_full", "lost", "invalid_option",
    "disconnected", "timeout", "unknown_call", "stopping", "unknown_verb", "internal",
    "idempotency_conflict",
};
static_assert(kNames.size() == static_cast<std::size_t>(Errc::idempotency_conflict) + 1);

// "task_error: std::out_of_range: no such row (Table.get on worker-0)", then the causes.
std::string describe(const ErrorInfo& info) {
  std::string text(name_of(info.code));
  if (!info.type.empty()) text += ": " + info.type;
  if (!info.message.empty()) text += ": " + info.message;
  if (!info.place.empty()) text += " (" + info.place + ")";
  if (!info.causes.empty()) text += "\n" + info.causes;
  return text;
}

}  // namespace

std::string_view name_of(Errc code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "unknown";
}

Errc errc_from(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Errc>(i);
  }
  return Errc::internal;
}

Error::Error(ErrorInfo info) : std::runtime_error(describe(info)), info_(std::move(info)) {}

void throw_error(ErrorInfo info) {
  switch (info.code) {
    case Errc::task_error: throw TaskError(std::move(info));
    case Errc::actor_died: case Errc::constructor_failed: throw ActorDied(std::move(info));
    case Errc::maybe_executed: throw MaybeExecuted(std::move(info));
    case Errc::deadline_exceeded: case Errc::expired: throw DeadlineExceeded(std::move(info));
    case Errc::cancelled: throw Cancelled(std::move(info));
    case Errc::dependency_failed: throw DependencyFailed(std::move(info));
    case Errc::deadlock: throw Deadlock(std::move(info));
    case Errc::result_expired: throw ResultExpired(std::move(info));
    case Errc::queue_full: throw QueueFull(std::move(info));
    case Errc::timeout: throw Timeout(std::move(info));
    case Errc::disconnected: throw Disconnected(std::move(info));
    case Errc::unknown_class: case Errc::unknown_method: case Errc::unknown_actor:
    case Errc::unknown_task: case Errc::too_large: case Errc::name_taken:
    case Errc::refused_before: case Errc::not_permitted: case Errc::store_unavailable:
    case Errc::store_full: case Errc::invalid_option:
      throw Refused(std::move(info));
    default: throw Error(std::move(info));
  }
}

}  // namespace callboard
