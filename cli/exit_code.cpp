#include "cli/exit_code.hpp"

namespace callboard::cli {

ExitCode exit_code_of(Errc code) {
  switch (code) {
    case Errc::ok:
      return ExitCode::ok;
    case Errc::invalid_option:
      return ExitCode::usage;
    case Errc::disconnected:
    case Errc::version_unsupported:
    case Errc::protocol_error:
      return ExitCode::cannot_connect;
    case Errc::unknown_class:
    case Errc::unknown_method:
    case Errc::unknown_actor:
    case Errc::unknown_task:
    case Errc::unknown_call:
    case Errc::unknown_session:
      return ExitCode::not_found;
    case Errc::queue_full:
    case Errc::refused_before:
    case Errc::too_large:
    case Errc::name_taken:
    case Errc::idempotency_conflict:
    case Errc::not_permitted:
    case Errc::store_unavailable:
    case Errc::store_full:
    case Errc::stopping:
      return ExitCode::refused;
    case Errc::deadline_exceeded:
    case Errc::expired:
    case Errc::timeout:
      return ExitCode::timed_out;
    case Errc::cancelled:
      return ExitCode::cancelled;
    case Errc::internal:
      return ExitCode::internal;
    case Errc::task_error:
    case Errc::actor_died:
    case Errc::maybe_executed:
    case Errc::dependency_failed:
    case Errc::bad_arguments:
    case Errc::deadlock:
    case Errc::result_expired:
    case Errc::poisoned:
    case Errc::constructor_failed:
    case Errc::lost:
    case Errc::unknown_verb:
      return ExitCode::failed;
  }
  return ExitCode::failed;
}

void fail_usage(const std::string& line) { throw Failure(ExitCode::usage, line); }

}  // namespace callboard::cli
