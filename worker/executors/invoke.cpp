#include "worker/executors/invoke.hpp"

#include "common/limits.hpp"
#include "common/messages.hpp"
#include "common/shared_memory.hpp"
#include "worker/context.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <typeinfo>

namespace callboard::worker {

namespace {

std::string demangle(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return status == 0 ? text.get() : name;
}

std::string thrown_type() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  return type != nullptr ? demangle(type->name()) : "unknown";
}

std::string cause_line(const ErrorInfo& error) {
  std::string line(name_of(error.code));
  if (!error.type.empty()) line += " (" + error.type + ")";
  if (!error.message.empty()) line += ": " + error.message;
  if (!error.place.empty()) line += ", in " + error.place;
  return line;
}

void add_cause(std::string& causes, const std::string& line) {
  if (line.empty()) return;
  if (!causes.empty()) causes += '\n';
  causes += line;
}

/// What std::throw_with_nested put inside `thrown`, and what is inside that.
void add_nested(const std::exception& thrown, std::string& causes) {
  try {
    std::rethrow_if_nested(thrown);
  } catch (const std::exception& inner) {
    add_cause(causes, thrown_type() + ": " + inner.what());
    add_nested(inner, causes);
  } catch (...) {
    add_cause(causes, thrown_type());
  }
}

/// Is what is being thrown the way in which code says that it stopped because it was asked to?
bool says_cancelled() {
  try {
    throw;
  } catch (const Cancelled&) {
    return true;
  } catch (const std::system_error& e) {
    return e.code() == std::errc::operation_canceled;
  } catch (...) {
    return false;
  }
}

}  // namespace

void invoke(ActiveCall& call, Invocation& invocation) {
  prepare(call, invocation);
  const RunningScope scope(call.running, call.job.ticket);
  void* const object = call.incarnation->object;
  try {
    if (call.method->kind == MethodKind::batched) {
      call.method->batched(object, {&invocation, 1});
    } else {
      call.method->plain(object, invocation);
    }
  } catch (...) {
    fail(call, invocation);
  }
}

void invoke_batch(std::span<ActiveCall*> calls, std::vector<Invocation>& invocations) {
  for (std::size_t i = 0; i < calls.size(); ++i) prepare(*calls[i], invocations[i]);
  const RunningScope scope(*calls.front());
  try {
    calls.front()->method->batched(calls.front()->incarnation->object, invocations);
  } catch (...) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (!invocations[i].error) fail(*calls[i], invocations[i]);
    }
  }
}

ErrorInfo describe_exception() {
  ErrorInfo error;
  error.code = Errc::task_error;
  error.type = thrown_type();
  try {
    throw;
  } catch (const Error& e) {  // of a call that this one made
    error.message = e.what();
    add_cause(error.causes, cause_line(e.info()));
    add_cause(error.causes, e.info().causes);
  } catch (const std::exception& e) {
    error.message = e.what();
    add_nested(e, error.causes);
  } catch (...) {
    error.message = "it threw something that is not a std::exception";
  }
  return error;
}

void fail(const ActiveCall& call, Invocation& invocation) {
  invocation.error = std::make_unique<ErrorInfo>(describe_exception());
  if (call.running.cancel_requested.load(std::memory_order_relaxed) && says_cancelled()) {
    invocation.error->code = Errc::cancelled;
  }
}

void complete_with_owner(const ActiveCall& call, Invocation& invocation, Outcome& outcome) {
  invocation.owner.reset();
  const std::size_t bytes = std::max(invocation.result.size(), invocation.placed.size());
  if (!invocation.error && bytes > limits::kPayloadBytesMax) {
    invocation.error = std::make_unique<ErrorInfo>();
    invocation.error->code = Errc::too_large;
    invocation.error->message = "its result has " + std::to_string(bytes) + " bytes";
  }
  if (invocation.error) {
    ErrorInfo& error = *invocation.error;
    const Method& method = *call.method;
    if (error.code == Errc::bad_arguments) {
      error.message = method.place + ", " + method.signature + ": " + error.message;
    }
    error.place = call.incarnation->place(method.place);
    outcome.status = error.code;
    outcome.value = Payload(wire::encode(error));
  } else if (invocation.placed_owner) {
    outcome.value = Payload(Blob(std::move(invocation.placed_owner), invocation.placed));
  } else if (invocation.result.size() >= limits::kPartBytesMin) {
    outcome.value =
        Payload(SharedMemory::process().share_or_keep(std::move(invocation.result)));
  } else {
    if (outcome.value.part) outcome.value.part = Blob();
    outcome.value.text.assign(invocation.result);
  }
  invocation = Invocation();
}

}  // namespace callboard::worker
