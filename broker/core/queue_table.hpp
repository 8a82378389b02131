// All queues of a broker: by name, actors and deployments by their ids as well.
//
// Most actors have no name but one that says their id. They are kept by it, in chunks of neighbours
// in the order of their ids, which takes 24 bytes for each: ids rise, so chunks fill up.
//
// Thread safety: none. REQUIRES: nothing is added or erased while each() visits.
#pragma once

#include "broker/core/queue.hpp"

#include <callboard/ids.hpp>

#include <cstddef>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::broker {

class QueueTable {
 public:
  /// Null when no queue has the name.
  Queue* find(std::string_view name) const;
  /// The actor or deployment, unless it is dead; or null.
  Queue* actor(ActorId id) const;
  /// Instead of one of the same name, if there is one.
  void add(const QueuePtr& queue);
  /// It has died: nobody finds it by its id any more.
  void died(const Queue& queue);
  /// Its name is free. REQUIRES: it is here.
  void erase(const Queue& queue);
  bool contains(const Queue& queue) const;
  std::size_t size() const { return named_.size() + unnamed_count_; }

  /// Calls visit(const QueuePtr&) for all: those with names in their order, then by id.
  template <class Visit>
  void each(Visit visit) const {
    each_after({}, [&visit](const QueuePtr& queue) {
      visit(queue);
      return true;
    });
  }
  /// The same for those behind `after`, a name, in that order, until it returns false. True when it
  /// never did.
  template <class Visit>
  bool each_after(std::string_view after, Visit visit) const {
    const ActorId id = unnamed_id(after);
    if (!id) {
      for (auto at = named_.upper_bound(after); at != named_.end(); ++at) {
        if (!visit(at->second)) return false;
      }
    }
    for (std::size_t n = id ? chunk_of(id) : 0; n < unnamed_.size(); ++n) {
      for (const Entry& entry : unnamed_[n]) {
        if ((!id || id < entry.first) && !visit(entry.second)) return false;
      }
    }
    return true;
  }

  /// The id of which "~HEX" is the name; none when it is another name.
  static ActorId unnamed_id(std::string_view name);

 private:
  static constexpr std::size_t kChunk = 128;
  using Entry = std::pair<ActorId, QueuePtr>;
  using Chunk = std::vector<Entry>;

  std::size_t chunk_of(ActorId id) const;
  const Entry* find_unnamed(ActorId id) const;
  void add_unnamed(const QueuePtr& queue);
  void unite(std::size_t n);

  std::map<std::string_view, QueuePtr> named_;  ///< by its own name
  std::map<ActorId, Queue*> ids_;               ///< of those, unless they are dead
  std::vector<Chunk> unnamed_;                  ///< none is empty
  std::size_t unnamed_count_ = 0;
};

}  // namespace callboard::broker
