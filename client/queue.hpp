// A queue as its handles share it: an actor, a deployment or a task function.
//
// Thread safety: all of it. The client's thread calls the functions that say so.
#pragma once

#include "client/core/full_queue.hpp"
#include "client/future_state.hpp"
#include "common/messages.hpp"

#include <callboard/ids.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::client {

class Core;

class Queue {
 public:
  /// `id_comes`: its id is known as soon as the client's thread has seen it, without the broker.
  Queue(std::shared_ptr<Core> core, std::uint32_t slot, std::string class_name, std::string name,
        const std::vector<std::string>& methods, bool id_comes);
  /// Lets the client close the queue behind the last call.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  Core& core() const { return *core_; }
  const std::shared_ptr<Core>& core_ptr() const { return core_; }
  /// The client's place for it; see Core.
  std::uint32_t slot() const { return slot_; }

  /// The number of a method, a new one when it is called for the first time.
  std::uint32_t method_number(std::string_view method);
  std::string class_name() const;
  std::string name() const;
  /// The actor's id if it is certain.
  ActorId id_now() const;
  /// The actor's id; waits for the broker where only it can say. Empty when there is no such actor.
  ActorId id() const;
  StatePtr opened() const { return opened_; }
  bool parked() const { return parked_.load(std::memory_order_relaxed); }
  /// What refuses calls before they are sent. Guarded by the client's own lock.
  FullQueue& full() { return full_; }
  /// The answer of a call that was refused so. Calls of the same millisecond share it. Guarded by
  /// the client's own lock.
  const StatePtr& refusal(std::int64_t now_us);

  // --- by the client's thread -------------------------------------------------------------------
  void set_id(ActorId id);
  void set_opened(const wire::Opened& opened);
  void set_parked(bool parked) { parked_.store(parked, std::memory_order_relaxed); }

 private:
  const std::shared_ptr<Core> core_;
  const std::uint32_t slot_;
  const bool id_comes_;
  const StatePtr opened_;
  std::atomic<bool> parked_{false};
  FullQueue full_;
  StatePtr refusal_;
  mutable std::mutex mutex_;
  std::string class_name_;  ///< guarded, as is all below
  std::string name_;
  ActorId id_;
  std::map<std::string, std::uint32_t, std::less<>> methods_;
};

using QueuePtr = std::shared_ptr<Queue>;

}  // namespace callboard::client
