// The unanswered calls of a session by their number.
//
// Numbers rise, answers come in any order, and a call may stay for hours while millions pass: calls
// live in chunks of 64 neighbours, found by a hash of the chunk's number, and a chunk goes when its
// last call does. The chunk used last is remembered, so that a run of neighbours costs one look-up.
// Thread safety: none. References stay valid until the call is erased.
#pragma once

#include "common/blob.hpp"
#include "common/options.hpp"

#include <callboard/error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace callboard::client {

/// What the owner of a session calls a call or a request; 0: it does not want to hear of it.
using Token = std::uint64_t;

/// The result of a call as an argument of another: its owner keeps it.
class Dependency {
 public:
  enum class State : std::uint8_t { pending, value, failed };

  virtual ~Dependency() = default;
  virtual State state() const = 0;
  /// The call. Not set when it is no call of a broker.
  virtual CallId id() const = 0;
  /// The encoded value, or the encoded ErrorInfo. REQUIRES: not pending.
  virtual std::string_view bytes() const = 0;
};

/// One argument of a call with dependencies: encoded, or the result of another call.
struct Argument {
  std::string bytes;
  std::shared_ptr<Dependency> dependency;
};

/// The creation of an actor.
struct Creation {
  std::string class_name;
  std::string args;  ///< encoded list
  wire::ActorOptions options;
};

/// What only some calls have.
struct CallExtra {
  wire::CallOptions options;  ///< deadline_ms and refs are filled in whenever it is written
  bool has_options = false;
  std::int64_t deadline_us = INT64_MAX;  ///< steady clock; INT64_MAX: none
  std::vector<Argument> arguments;       ///< instead of the encoded list when a dependency is there
  std::vector<std::shared_ptr<Dependency>> after;
  Blob part;                             ///< a big argument list
  std::string args;                      ///< bytes that the call itself keeps
  std::string encoded_options;
  std::unique_ptr<Creation> creation;
};

enum class CallState : std::uint8_t {
  unsent,    ///< waits for its turn
  held,      ///< must not leave yet; gets a new number when it may
  sent,      ///< the broker has not said whether it accepts it
  accepted,  ///< only the result is missing
  parked,    ///< the queue was full; it is sent again when there is room
  resent,    ///< sent again after it was parked
};

/// What is known of a call's promises.
enum CallFlags : std::uint8_t {
  kNoResult = 1,        ///< nobody waits for the result
  kMemory = 2,          ///< durability memory, said by the call
  kDurable = 4,         ///< durability durable, said by the call
  kRetried = 8,         ///< at least once, said by the call
  kOnce = 16,           ///< at most once, said by the call
  kReject = 32,         ///< when_full = reject, said by the call
  kBlock = 64,          ///< when_full = block, said by the call
};

struct CallRecord {
  Token token = 0;
  std::uint64_t order = 0;   ///< its first number: the order of submission, whatever it is now
  std::string_view args;     ///< in bytes that the session keeps until the call is accepted
  std::string_view options;
  std::unique_ptr<CallExtra> extra;
  std::uint32_t handle = 0;
  std::uint32_t method = 0;
  std::uint32_t bytes = 0;   ///< counted against the bound on what is not acknowledged
  CallState state = CallState::unsent;
  std::uint8_t flags = 0;
  bool released = false;     ///< was held, and waits for its turn under a new number
  bool live = false;
};

class CallTable {
 public:
  /// Null when there is no such call.
  CallRecord* find(std::uint64_t seq) {
    Chunk* chunk = chunk_of(seq);
    if (chunk == nullptr) return nullptr;
    CallRecord& record = chunk->records[seq % kChunk];
    return record.live ? &record : nullptr;
  }
  /// REQUIRES: there is no call of that number.
  CallRecord& add(std::uint64_t seq) {
    Chunk* chunk = chunk_of(seq);
    if (chunk == nullptr) {
      std::unique_ptr<Chunk> made = spare_ ? std::move(spare_) : std::make_unique<Chunk>();
      chunk = made.get();
      chunks_.emplace(seq / kChunk, std::move(made));
      last_index_ = seq / kChunk;
      last_ = chunk;
    }
    ++chunk->count;
    ++size_;
    CallRecord& record = chunk->records[seq % kChunk];
    record.live = true;
    return record;
  }
  /// REQUIRES: the call is there.
  void erase(std::uint64_t seq) {
    Chunk* chunk = chunk_of(seq);
    chunk->records[seq % kChunk] = CallRecord();
    --size_;
    if (--chunk->count > 0) return;
    const auto found = chunks_.find(seq / kChunk);
    spare_ = std::move(found->second);
    chunks_.erase(found);
    last_ = nullptr;
  }
  std::size_t size() const { return size_; }
  /// The numbers of all calls, in no order.
  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all;
    all.reserve(size_);
    for (const auto& [index, chunk] : chunks_) {
      for (std::size_t i = 0; i < kChunk; ++i) {
        if (chunk->records[i].live) all.push_back(index * kChunk + i);
      }
    }
    return all;
  }

 private:
  static constexpr std::uint64_t kChunk = 64;
  struct Chunk {
    std::array<CallRecord, kChunk> records;
    std::size_t count = 0;
  };

  Chunk* chunk_of(std::uint64_t seq) {
    const std::uint64_t index = seq / kChunk;
    if (last_ != nullptr && last_index_ == index) return last_;
    const auto found = chunks_.find(index);
    if (found == chunks_.end()) return nullptr;
    last_index_ = index;
    last_ = found->second.get();
    return last_;
  }

  std::unordered_map<std::uint64_t, std::unique_ptr<Chunk>> chunks_;
  std::unique_ptr<Chunk> spare_;
  Chunk* last_ = nullptr;
  std::uint64_t last_index_ = 0;
  std::size_t size_ = 0;
};

}  // namespace callboard::client
