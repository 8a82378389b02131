// Memory for objects that one thread makes and another lets go of, many times a second.
//
// malloc gives such a block back to the arena of the thread that took it, with a lock that both
// then wait for. Here a thread keeps what it lets go of, and passes on whole magazines.
// Thread safety: any thread.
#pragma once

#include "common/prefetch.hpp"

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace callboard::client {

/// Blocks for single objects of type T.
template <class T>
class BlockCache {
 public:
  static void* take() {
    Magazine* own = mine();
    if (own == nullptr || own->empty()) own = filled();
    void* const block = own == nullptr ? make() : own->pop();
    ASAN_UNPOISON_MEMORY_REGION(block, sizeof(T));
    return block;
  }
  static void give(void* block) noexcept {
    ASAN_POISON_MEMORY_REGION(block, sizeof(T));  // as if it had been freed
    Magazine* own = mine();
    if (own == nullptr) own = magazine();
    if (own == nullptr || !own->push(block)) unmake(block);
  }

 private:
  static constexpr std::size_t kMagazine = 128;
  static constexpr std::size_t kAhead = 4;       ///< blocks that are asked for before their turn
  static constexpr std::size_t kShelfMax = 256;  ///< full magazines that wait to be used

  static constexpr std::size_t kHotBytes = 3 * kCacheLine;  ///< what most users touch, about

  using Blocks = std::vector<void*>;

  // On a line's boundary, so that a block has no more lines than it needs.
  static constexpr std::align_val_t kAlignment{
      sizeof(T) < kCacheLine ? alignof(std::max_align_t) : kCacheLine};
  static void* make() { return ::operator new(sizeof(T), kAlignment); }
  static void unmake(void* block) noexcept { ::operator delete(block, kAlignment); }

  /// Full magazines of all threads. Never destroyed: threads may end after static objects.
  struct Shelf {
    std::mutex mutex;
    std::vector<Blocks> full;
  };
  static Shelf& shelf() {
    static Shelf& one = *new Shelf;
    return one;
  }

  class Magazine {
   public:
    Magazine() {
      blocks_.reserve(2 * kMagazine);
      mine() = this;
    }
    ~Magazine() {
      for (void* block : blocks_) unmake(block);
      mine() = nullptr;
      gone() = true;
    }
    Magazine(const Magazine&) = delete;
    Magazine& operator=(const Magazine&) = delete;

    bool empty() const { return blocks_.empty(); }
    void* pop() {
      void* block = blocks_.back();
      blocks_.pop_back();
      // The thread that let go of the next ones wrote to them.
      if (blocks_.size() >= kAhead) {
        prefetch_to_write(blocks_[blocks_.size() - kAhead], std::min(sizeof(T), kHotBytes));
      }
      return block;
    }
    void refill() {
      {
        const std::lock_guard lock(shelf().mutex);
        if (!shelf().full.empty()) {
          blocks_.swap(shelf().full.back());
          shelf().full.pop_back();
        }
      }
      blocks_.reserve(2 * kMagazine);
      if (blocks_.empty()) blocks_.push_back(make());
    }
    /// False: there are enough of them.
    bool push(void* block) noexcept {
      if (blocks_.size() == 2 * kMagazine && !unload()) return false;
      blocks_.push_back(block);
      return true;
    }

   private:
    bool unload() noexcept {
      try {
        Blocks half(blocks_.end() - kMagazine, blocks_.end());
        const std::lock_guard lock(shelf().mutex);
        if (shelf().full.size() >= kShelfMax) return false;
        shelf().full.push_back(std::move(half));
      } catch (const std::bad_alloc&) {
        return false;
      }
      blocks_.resize(kMagazine);
      return true;
    }

    Blocks blocks_;
  };

  // Both are trivial: they outlive the magazine.
  /// The thread's magazine while there is one. A look at this alone is what most calls cost.
  static Magazine*& mine() {
    static thread_local constinit Magazine* one = nullptr;
    return one;
  }
  static bool& gone() {
    static thread_local constinit bool one = false;
    return one;
  }
  /// Null once the thread is on its way out.
  [[gnu::noinline]] static Magazine* magazine() {
    if (gone()) return nullptr;
    thread_local Magazine one;
    return &one;
  }
  /// The same with at least one block in it.
  [[gnu::noinline]] static Magazine* filled() {
    Magazine* own = magazine();
    if (own != nullptr && own->empty()) own->refill();
    return own;
  }
};

}  // namespace callboard::client
