// A file of shared memory (in /dev/shm) that one process owns and others of the host may read.
//
//   header (one page)                                    blocks, all of one size
//   ┌────────┬───────┬──────────────┬──────────┬─ ─ ─┐   ┌─────────┬─────────┬─ ─ ─┐
//   │ magic  │ token │ block_bytes  │ state[0] │ ... │   │ block 0 │ block 1 │ ... │
//   └────────┴───────┴──────────────┴──────────┴─ ─ ─┘   └─────────┴─────────┴─ ─ ─┘
//
// A block's state is one word: a generation, new each time it is given out, and one bit for each
// process that holds it. A process holds a block as long as it has a use for its bytes; a block
// that nobody holds is free, and only its owner gives it out again. Bit 0 is the owner's; another
// process claims a bit of its own by locking the byte of that number in the file. The kernel gives
// the lock back however the process ends, so whoever finds bits of a number that nobody has locked
// knows that they are of a process that is dead, and clears them.
//
// Thread safety: none, but for the words of the header, which processes share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace callboard {

/// How an attempt ended to use what is in another process's segment.
enum class SharedAccess : std::uint8_t {
  ok,
  gone,        ///< who held it has let go: nobody may read it any more
  unreadable,  ///< it cannot be opened or mapped here
};

class SharedSegment {
 public:
  static constexpr std::size_t kHeaderBytes = 4096;
  static constexpr std::uint32_t kBlocksMax = 256;
  static constexpr unsigned kHoldersMax = 40;  ///< processes of one segment, its owner included
  static constexpr unsigned kOwner = 0;
  static constexpr unsigned kNobody = kHoldersMax;  ///< no bit could be claimed
  static constexpr std::string_view kNamePrefix = "callboard-shm-";

  /// A new one, whose memory is there: using it can neither fail nor wait for zeroed pages. Null
  /// when the folder has no room or cannot be used. No blocks: something to be found by others.
  static std::unique_ptr<SharedSegment> create(const std::string& folder, const std::string& name,
                                               std::size_t block_bytes, std::uint32_t blocks);
  /// Another process's. `populate`: its pages are about to be read.
  static SharedAccess open(const std::string& folder, const std::string& name, bool populate,
                           std::unique_ptr<SharedSegment>& segment);
  /// Unmaps it, and lets go of the bit. The file stays.
  ~SharedSegment();
  SharedSegment(const SharedSegment&) = delete;
  SharedSegment& operator=(const SharedSegment&) = delete;

  const std::string& name() const { return name_; }
  bool own() const { return bit_ == kOwner; }
  unsigned bit() const { return bit_; }
  std::uint64_t token() const;  ///< random; who tells it has read the segment
  std::uint32_t blocks() const { return static_cast<std::uint32_t>(held_.size()); }
  std::size_t block_bytes() const { return block_bytes_; }
  std::size_t file_bytes() const { return kHeaderBytes + data_bytes(); }
  char* block(std::uint32_t index) const { return data_ + index * block_bytes_; }
  /// The block in which a byte lies. REQUIRES: it lies in one.
  std::uint32_t block_at(const char* at) const {
    return static_cast<std::uint32_t>(static_cast<std::size_t>(at - data_) / block_bytes_);
  }
  std::size_t data_bytes() const { return held_.size() * block_bytes_; }
  std::uint64_t generation(std::uint32_t index) const;

  /// Gives a free block out: it is held once. False when none is free. REQUIRES: own().
  bool take_free(std::uint32_t& index);
  /// Holds a block (once more) if it is still what `generation` says.
  bool hold(std::uint32_t index, std::uint64_t generation);
  /// Whether a copy that was just made of the block is good: somebody held it all the while.
  bool still(std::uint32_t index, std::uint64_t generation) const;
  void let_go(std::uint32_t index);
  bool holds_any() const { return holds_ > 0; }
  /// No process holds any block.
  bool unused() const;

  /// Clears the bits of processes that are dead.
  void clear_dead();
  std::int64_t used_us = 0;  ///< for the owner: when a block was last given out
  /// The file is not to be found under its name any more.
  bool unlinked() const;

  /// Of a file that nobody has open here: clears the bits of the dead, and removes the file when
  /// its owner is dead and nobody holds any of it. True when it was removed.
  static bool remove_abandoned(const std::string& folder, const std::string& name);
  static void remove(const std::string& folder, const std::string& name);

 private:
  struct Header;

  SharedSegment(std::string name, int fd, Header* header, unsigned bit);
  bool map_blocks(std::size_t block_bytes, std::uint32_t blocks, bool populate);
  void claim_bit();
  static void clear_bit(Header& header, std::uint32_t blocks, unsigned bit);

  std::string name_;
  int fd_;
  Header* header_;
  char* data_ = nullptr;
  std::size_t block_bytes_ = 0;
  unsigned bit_;
  std::uint32_t next_ = 0;           ///< where the search for a free block begins
  std::vector<std::uint32_t> held_;  ///< for each block, how often this process holds it
  std::size_t holds_ = 0;
};

}  // namespace callboard
