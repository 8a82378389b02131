// What one process shares with others of its host: blocks that it gives out from a bounded pool of
// segments, and blocks of theirs that it holds.
//
// A value in a block is written once by whoever has it and then never again; whoever gets a
// SharedReference to it reads it in place. It stays as long as any process holds it (see
// shared_segment.hpp), also when its owner is dead. Thread safety: all of it.
#pragma once

#include "common/blob.hpp"
#include "common/shared_segment.hpp"
#include "common/time.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace callboard {

/// Where in a segment a value lies.
struct SharedReference {
  std::string segment;
  std::uint32_t block = 0;
  std::uint64_t generation = 0;
  std::uint64_t offset = 0;  ///< bytes from the block's begin
  std::uint64_t bytes = 0;
};

struct SharedMemoryOptions {
  std::string folder = "/dev/shm";
  /// Most that the segments of this process may take, in bytes; 0: nothing is shared. Without a
  /// value it is a quarter of what the folder has free at first, at most 4 GiB.
  std::optional<std::uint64_t> bytes_max;

  /// From CALLBOARD_SHARED_MEMORY ("off", or bytes) and CALLBOARD_SHARED_MEMORY_DIR.
  static SharedMemoryOptions from_environment();
};

class SharedMemory {
 public:
  explicit SharedMemory(SharedMemoryOptions options);
  /// Removes what nobody else holds; what others hold stays until they have let go of it.
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// This process's. Its options come from the environment, at first use.
  static SharedMemory& process();

  bool enabled() const { return bytes_max_.load() > 0; }
  /// The name of a segment that is there for others to be found; empty when none can be made.
  std::string probe();
  std::uint64_t probe_token();
  /// What another process's probe says; 0 when it cannot be opened from here.
  std::uint64_t read_probe(const std::string& name);

  /// Notes that one more, or one less, of those we talk to can read what is here.
  void add_reader() { readers_.fetch_add(1); }
  void remove_reader() { readers_.fetch_sub(1); }

  /// A block that holds the pieces one after the other. Nothing when they are too few bytes to be
  /// worth it, when nobody could read it, or when the pool has no room.
  Blob share(std::span<const std::string_view> pieces);
  Blob share(std::string_view bytes) { return share(std::span(&bytes, 1)); }

  /// In a block, or as they are.
  Blob share_or_keep(std::string bytes);

  /// Where bytes lie that are in a block which this process holds.
  std::optional<SharedReference> find(std::string_view bytes);
  /// Holds what a reference of another process names. `populate`: its bytes will be read here.
  SharedAccess open(const SharedReference& reference, bool populate, Blob& value);

  /// Removes what the dead left in the folder, and tidies up.
  void sweep();
  /// Gives back what is not used any more: blocks that dead readers held, segments of this process
  /// that were idle for long, segments of others that are gone. Without `now` nothing is too early.
  void tidy(std::optional<Instant> now = {});
  /// The end: nothing more is given out or opened. What was given out may still be read.
  void close();
  /// Bytes of this process's segments.
  std::uint64_t pool_bytes();

 private:
  struct Held;
  using SegmentPtr = std::shared_ptr<SharedSegment>;

  void remove_abandoned();
  SharedAccess open_segment(const std::string& name, bool populate, SegmentPtr& segment);
  bool take_block(std::size_t bytes, SegmentPtr& segment, std::uint32_t& block);
  SegmentPtr make_segment(std::int64_t now_us, std::size_t block_bytes);
  bool make_room(std::uint64_t bytes, std::size_t block_bytes);
  void enter(const SegmentPtr& segment);
  void leave(const SegmentPtr& segment);
  std::vector<SegmentPtr>::iterator retire(std::vector<SegmentPtr>& from,
                                           std::vector<SegmentPtr>::iterator segment);
  std::string next_name();

  const SharedMemoryOptions options_;
  std::atomic<int> readers_{0};
  std::mutex mutex_;
  std::atomic<std::uint64_t> bytes_max_{0};
  std::string name_prefix_;
  std::uint64_t names_ = 0;
  std::uint64_t pool_bytes_ = 0;
  std::unique_ptr<SharedSegment> probe_;
  std::map<std::size_t, std::vector<SegmentPtr>> own_;  ///< by the size of their blocks
  std::map<std::string, SegmentPtr> by_name_;           ///< own and others'
  std::map<const char*, SegmentPtr> by_address_;        ///< the same, by where their blocks begin
  std::int64_t room_again_us_ = 0;    ///< the pool is full, as far as is known
  std::int64_t create_again_us_ = 0;  ///< the folder is full, as far as is known
  std::atomic<std::int64_t> tidied_us_{0};
  bool told_ = false;
};

}  // namespace callboard
