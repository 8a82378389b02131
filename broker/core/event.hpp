// What happens to a broker core, and what follows from it.
#pragma once

#include "broker/store/batch.hpp"
#include "common/frame.hpp"
#include "common/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace callboard::broker {

/// One connection, as the transport numbers it. Never reused within one broker run.
enum class PeerId : std::uint64_t {};

/// A frame arrived. Its bytes are borrowed for the time of the step.
struct FrameArrived {
  PeerId peer{};
  wire::FrameView frame;
};
/// The transport could not send to the peer, or knows that it is gone.
struct PeerLost {
  PeerId peer{};
};
/// The store applied the batch that was taken last.
struct Committed {
  std::uint64_t commit_no = 0;
};
/// Redis is away (text says why); the batch in flight is not lost, its fate will be resolved.
struct StoreDown {
  std::string text;
};
/// Redis is back, the fate of the batch in flight is known (and told by Committed if it was
/// applied; otherwise the store wrote it again).
struct StoreUp {};
/// Nothing was heard or done for a while, through no fault of the peers.
struct Resumed {};
/// Redis has less than its reserve of memory left (or has it again).
struct StoreFull {
  bool full = false;
};
/// What the store holds under the numbers that it was asked for (Effects::reads).
struct CallsRead {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  std::uint64_t id = 0;
  std::string bytes;                 ///< of the records, one behind the other
  std::vector<std::uint32_t> sizes;  ///< of each, in the order of the question; kNone: not there

  void add(std::string_view record) {
    bytes += record;
    sizes.push_back(static_cast<std::uint32_t>(record.size()));
  }
  void add_none() { sizes.push_back(kNone); }
  /// Record `index`, which begins at `at`; `at` moves on. REQUIRES: they are asked for in order.
  std::optional<std::string_view> record(std::size_t index, std::size_t& at) const {
    if (index >= sizes.size() || sizes[index] == kNone) return std::nullopt;
    const std::string_view found = std::string_view(bytes).substr(at, sizes[index]);
    at += sizes[index];
    return found;
  }
};
/// This broker stops: peers are told, so that they look for another one at once.
struct Stopping {};
/// Time passed.
struct Tick {};

/// What Redis says that concerns an operator; told again whenever it changes.
struct StoreFacts {
  std::string version;
  std::string eviction;    ///< maxmemory-policy
  std::string fsync;       ///< "always", "everysec", "no", "off" or "unknown", or what Redis says
  std::string durability;  ///< one sentence: what a crash may lose of what was acknowledged
  bool survives_power_loss = false;
  std::uint64_t used_memory = 0;  ///< bytes
  std::uint64_t memory_max = 0;   ///< bytes; 0: no limit
};

/// What somebody has seen of the store: numbers that it never falls below by itself.
struct Witness {
  std::uint64_t epoch = 0;
  std::uint64_t timeline = 0;
  std::uint64_t commit_no = 0;
  std::string text;  ///< who has seen what, for a person
};

using Event =
    std::variant<FrameArrived, PeerLost, Committed, StoreDown, StoreUp, StoreFull, StoreFacts,
                 Resumed, Stopping, Tick, CallsRead>;

/// One thing for the PUB socket: topic and an encoded map.
struct Announcement {
  std::string topic;  ///< "actor", "worker", "queue", "session", "stats"
  std::string info;
};

/// A question to the store: fields of a hash. CallsRead answers it once, however often the store
/// goes away meanwhile.
struct StoreRead {
  std::uint64_t id = 0;
  std::string key;
  std::vector<std::uint64_t> numbers;
};

/// What a step asks for. The caller owns it, sends what is in it, and clears it.
///
/// Messages of which there are many gather in a block and are appended to their frame in one piece:
/// when something else is written to it, when there are enough, or when the step ends.
struct Effects {
  /// Messages that may take more do not gather.
  static constexpr std::size_t kGatheredBytesMax = 4 * 1024;

  /// Frames per peer, in the order in which they must leave.
  std::vector<std::pair<PeerId, std::vector<wire::Frame>>> frames;
  std::unordered_map<std::uint64_t, std::size_t> index;  ///< peer -> place in `frames`
  std::vector<Announcement> announcements;
  std::vector<StoreRead> reads;
  std::vector<std::pair<int, std::string>> log;  ///< level (0 info, 1 warning, 2 error), text
  std::string fatal;  ///< set when the broker must stop: one sentence for a person
  /// Set when a peer has seen more than the store holds: the store went back in time, or another
  /// broker has taken over. Only the store can tell, and if it went back, this run is over.
  std::optional<Witness> ahead;

  /// The last frame for `peer`, a new one when that is full.
  wire::Frame& frame_for(PeerId peer);
  struct Gathered;
  /// Where messages for the peer gather; null until gather_for(peer), and when there are enough.
  Gathered* gathered_for(PeerId peer);
  /// From now on. REQUIRES: frame_for(peer) was asked for last, and something was written to it.
  Gathered* gather_for(PeerId peer);
  /// ENSURES: `frames` has all that was gathered.
  void append_gathered();
  /// Takes back what was to leave for `peer`. REQUIRES: nothing of it has left.
  void forget(PeerId peer);
  void clear();

  /// What gathers for one peer.
  struct Gathered {
    PeerId peer{};
    std::size_t frames = 0;  ///< its place in Effects::frames
    std::size_t enough = 0;  ///< so many bytes are not added to; 0: nothing gathers
    std::size_t bytes = 0;
    std::string block;

    char* place() { return block.data() + bytes; }
    /// The message that was put there ends at `end`.
    void placed(const char* end) { bytes = static_cast<std::size_t>(end - block.data()); }
  };

 private:
  /// Peers come in turn, client and worker, and those with the same place drive each other out.
  static constexpr std::size_t kGathered = 64;

  wire::Frame& last_of(std::vector<wire::Frame>& of_peer);
  static std::uint8_t place_of(PeerId peer) {
    return static_cast<std::uint64_t>(peer) % kGathered;
  }
  Gathered& gathered(PeerId peer) { return gathered_[place_of(peer)]; }
  void append(Gathered& gathered);

  std::vector<Gathered> gathered_ = std::vector<Gathered>(kGathered);
  std::vector<std::uint8_t> gathering_;  ///< which of them may hold something; some more than once
  std::size_t last_ = 0;           ///< the place that was written to last
  std::size_t typical_bytes_ = 0;  ///< room for a new head, so that it need not grow step by step
  std::size_t largest_bytes_ = 0;  ///< of the heads since clear()
};

inline Effects::Gathered* Effects::gathered_for(PeerId peer) {
  Gathered& found = gathered(peer);
  return found.peer == peer && found.bytes < found.enough ? &found : nullptr;
}

/// One field of one key, as it was read from the store at start-up. Names as in StoreBatch.
struct StoreEntry {
  std::string_view key;
  std::string_view field;
  std::string_view value;
};

}  // namespace callboard::broker
