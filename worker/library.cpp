#include "worker/library.hpp"

#include <dlfcn.h>

#include <exception>

namespace callboard::worker {

namespace {

using Register = void (*)(Registry&);

std::string load(const std::string& path, Registry& registry) {
  // A name without a slash would be searched along the system's path; what people mean is a file.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return "cannot load " + path + ": " + (why != nullptr ? why : "unknown reason");
  }
  const auto enter = reinterpret_cast<Register>(::dlsym(library, "callboard_register"));
  if (enter == nullptr) {
    return "cannot load " + path + ": it has no CALLBOARD_LIBRARY(registry) { ... }";
  }
  try {
    enter(registry);
  } catch (const std::exception& problem) {
    return "cannot register the classes of " + path + ": " + problem.what();
  }
  return {};
}

}  // namespace

std::string fill_registry(Registry& registry, const std::vector<std::string>& libraries,
                          const RegisterFunction& register_all) {
  if (register_all) {
    try {
      register_all(registry);
    } catch (const std::exception& problem) {
      return std::string("cannot register this program's classes: ") + problem.what();
    }
  }
  for (const std::string& library : libraries) {
    std::string problem = load(library, registry);
    if (!problem.empty()) return problem;
  }
  return {};
}

}  // namespace callboard::worker
