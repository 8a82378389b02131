// One life of one actor: its class, its object, and who it is. For tasks there is no object.
//
// Thread safety: construct() and destroy() belong to the first thread of the actor's first lane;
// the rest is constant in between, which Lane::open() makes visible to the other lanes.
#pragma once

#include "worker/executor.hpp"

#include <callboard/registry.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::worker {

struct Incarnation {
  const Environment& environment;
  ExecutorHost& host;
  const ClassEntry& entry;
  const ActorSpec spec;
  void* object = nullptr;

  Incarnation(const Environment& e, const ClassEntry& c, ActorSpec s)
      : environment(e), host(*s.host), entry(c), spec(std::move(s)) {}
  Incarnation(const Incarnation&) = delete;
  Incarnation& operator=(const Incarnation&) = delete;

  /// Runs the constructor. `code` of what it returns is ok, or says why there is no object.
  ErrorInfo construct(std::string_view args, std::uint32_t ticket);
  void destroy() noexcept;

  /// "Counter.add on worker-0 (pid 123)".
  std::string place(std::string_view what) const;
};

}  // namespace callboard::worker
