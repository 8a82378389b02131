#include <callboard/registry.hpp>

#include "common/limits.hpp"
#include "common/shared_memory.hpp"

namespace callboard {

namespace worker {

namespace {

ErrorInfo error_info(Errc code, std::string message) {
  ErrorInfo info;
  info.code = code;
  info.message = std::move(message);
  return info;
}

void check_name(std::string_view what, std::string_view name) {
  if (name.empty()) {
    throw Error(error_info(Errc::invalid_option, std::string(what) + " without a name"));
  }
  if (name.size() > limits::kNameBytesMax) {
    throw Error(error_info(Errc::too_large, std::string(what) + " whose name has more than " +
                                                std::to_string(limits::kNameBytesMax) +
                                                " bytes: " + std::string(name)));
  }
}

}  // namespace

const Method* ClassEntry::find(std::string_view method) const {
  for (const Method& candidate : methods) {
    if (candidate.name == method) return &candidate;
  }
  return nullptr;
}

bool ClassEntry::has(MethodKind kind) const {
  for (const Method& method : methods) {
    if (method.kind == kind) return true;
  }
  return false;
}

void refuse_arguments(Invocation& call, std::string problem) {
  call.error = std::make_unique<ErrorInfo>(error_info(Errc::bad_arguments, std::move(problem)));
}

void refuse_results(std::span<Invocation*> calls, std::size_t results) {
  for (Invocation* call : calls) {
    call->error = std::make_unique<ErrorInfo>(error_info(
        Errc::task_error, "the method got " + std::to_string(calls.size()) + " calls and gave " +
                              std::to_string(results) + " results"));
    call->error->type = "callboard::WrongResultCount";
  }
}

bool place_result(Invocation& call, const callboard::detail::PlainBytes& result,
                  const std::shared_ptr<const void>& owner, std::string_view encoded) {
  if (owner && !encoded.empty()) {
    call.placed_owner = owner;
    call.placed = encoded;
    return true;
  }
  std::string header;
  wire::Writer out(header);
  result.text ? out.str_header(result.view.size()) : out.bin_header(result.view.size());
  const std::string_view pieces[] = {header, result.view};
  const Blob shared = SharedMemory::process().share(pieces);
  call.placed_owner = shared.owner();
  call.placed = shared.view();
  return call.placed_owner != nullptr;
}

}  // namespace worker

Registry::Registry() : tasks_(std::make_unique<worker::ClassEntry>()) { tasks_->name = "tasks"; }
Registry::~Registry() = default;
Registry::Registry(Registry&&) noexcept = default;
Registry& Registry::operator=(Registry&&) noexcept = default;

const worker::ClassEntry* Registry::find(std::string_view name) const {
  const auto found = classes_.find(name);
  return found == classes_.end() ? nullptr : found->second.get();
}

std::vector<const worker::ClassEntry*> Registry::classes() const {
  std::vector<const worker::ClassEntry*> all;
  for (const auto& [name, entry] : classes_) all.push_back(entry.get());
  return all;
}

Registry& Registry::add_class(worker::ClassEntry entry) {
  worker::check_name("a class", entry.name);
  if (entry.methods.size() > limits::kMethodsMax) {
    throw Error(worker::error_info(Errc::too_large, entry.name + " has more than " +
                                                        std::to_string(limits::kMethodsMax) +
                                                        " methods"));
  }
  for (const worker::Method& method : entry.methods) {
    worker::check_name("a method of " + entry.name, method.name);
    if (!method.group.empty()) worker::check_name("a group of " + entry.name, method.group);
  }
  const auto found = classes_.find(entry.name);
  if (found == classes_.end()) {
    std::string name = entry.name;
    classes_.emplace(std::move(name), std::make_unique<worker::ClassEntry>(std::move(entry)));
  } else if (found->second->construct != entry.construct) {
    throw Error(worker::error_info(Errc::name_taken, "two classes have the name " + entry.name));
  }
  return *this;
}

Registry& Registry::add_task(worker::Method method) {
  worker::check_name("a task", method.name);
  const worker::Method* found = tasks_->find(method.name);
  if (found == nullptr) {
    tasks_->methods.push_back(std::move(method));
  } else if (found->plain != method.plain || found->coroutine != method.coroutine) {
    throw Error(worker::error_info(Errc::name_taken, "two tasks have the name " + method.name));
  }
  return *this;
}

}  // namespace callboard
