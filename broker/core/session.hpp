// A client's session as the broker knows it, and the connection that it may have.
#pragma once

#include "broker/core/call.hpp"
#include "broker/core/event.hpp"
#include "broker/core/queue.hpp"
#include "broker/core/seq_map.hpp"

#include <callboard/ids.hpp>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

namespace callboard::broker {

struct Worker;
struct Session;

/// One connection. Peers are kept in the order in which they were last heard.
struct Peer {
  PeerId id{};
  std::int64_t heard_us = 0;  ///< by Core::listened_us_
  std::list<Peer*>::iterator by_age;
  Session* session = nullptr;
  Worker* worker = nullptr;
  std::string supervisor;  ///< its name, when it is a supervisor
};

/// A client's method numbers -> the queue's. They are the same where the client came first.
class MethodNumbers {
 public:
  std::size_t size() const { return size_; }
  std::uint16_t operator[](std::size_t number) const {
    return others_ ? (*others_)[number] : static_cast<std::uint16_t>(number);
  }
  void push_back(std::uint16_t of_queue) {
    if (!others_ && of_queue != size_) {
      others_ = std::make_unique<std::vector<std::uint16_t>>(size_);
      std::iota(others_->begin(), others_->end(), std::uint16_t{0});
    }
    if (others_) others_->push_back(of_queue);
    ++size_;
  }

 private:
  std::unique_ptr<std::vector<std::uint16_t>> others_;
  std::uint32_t size_ = 0;
};

/// What few handles have.
struct HandleExtra {
  std::string text;                 ///< why there is no queue
  std::uint64_t refused_first = 0;  ///< the call that was refused, while `refusing`
  std::uint64_t granted = 0;        ///< room promised
  std::set<std::uint64_t> waiting;  ///< numbers parked here and not offered again yet
};

/// A client's small number for a queue.
struct Handle {
  QueuePtr queue;  ///< none: `code` says why
  MethodNumbers methods;
  std::unique_ptr<HandleExtra> extra;
  Errc code = Errc::unknown_actor;
  bool open = false;
  bool refusing = false;  ///< a call was refused and the client has not seen it
  bool parked = false;

  /// To read what few have: there need not be any.
  const HandleExtra& rare() const {
    static const HandleExtra none;
    return extra ? *extra : none;
  }
  HandleExtra& more() {
    if (!extra) extra = std::make_unique<HandleExtra>();
    return *extra;
  }
};

struct Session {
  // stored
  SessionId id{};
  std::string name;
  std::uint64_t accepted_through = 0;
  struct Refusal {
    std::uint32_t handle = 0;
    bool parked = false;
    bool missed = false;  ///< a call that takes its result has failed: it must not run after all
  };
  std::map<std::uint64_t, Refusal> refused;  ///< numbers below accepted_through not accepted
  std::int64_t gone_wall_ms = 0;             ///< 0 while it lives

  // in memory only
  Peer* peer = nullptr;
  std::string host;
  std::uint64_t pid = 0;
  std::int64_t away_since_us = 0;  ///< since when it has no peer, by Core::listened_us_
  std::vector<Handle> handles;
  SeqMap<Call*> calls;  ///< unfinished and not released
  std::map<std::uint64_t, StoredRun*> stored_runs;  ///< of those not in memory, by their first
  std::uint64_t stored_calls = 0;
  std::uint64_t unreleased_bytes = 0;
  std::uint32_t called = 0;          ///< the handle of its last call
  std::uint64_t durable_batch = 0;   ///< batch that holds its last durable accept
  bool stored = false;              ///< the store has its record, committed
  std::uint64_t ack_sent = 0;
  std::int64_t ack_due_us = 0;  ///< what is to be acknowledged may ride on a frame until then
  bool ack_urgent = false;      ///< a call without a result waits for it
  std::vector<std::uint64_t> accepted_again;  ///< parked before, accepted since the last ack
  bool record_dirty = false;
  bool has_record = false;  ///< the store has it
  bool released = false;    ///< nobody can take its results any more
  std::vector<Queue*> owned;  ///< actors that stop with it; each knows its place

  void own(Queue& queue) {
    queue.owned_at = static_cast<std::uint32_t>(owned.size());
    owned.push_back(&queue);
  }
  void disown(const Queue& queue) {
    if (queue.owned_at >= owned.size() || owned[queue.owned_at] != &queue) return;
    owned[queue.owned_at] = owned.back();
    owned[queue.owned_at]->owned_at = queue.owned_at;
    owned.pop_back();
  }

  Handle* handle(std::uint32_t number) {
    return number < handles.size() && handles[number].open ? &handles[number] : nullptr;
  }
};

}  // namespace callboard::broker
