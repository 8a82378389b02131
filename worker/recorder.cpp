#include "worker/recorder.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>

namespace callboard::worker {

namespace {

constexpr std::uint32_t kSlots = limits::kRecorderSlots;

FlightPage* map_page(int fd) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* memory = ::mmap(nullptr, sizeof(FlightPage), PROT_READ | PROT_WRITE, flags, fd, 0);
  if (memory == MAP_FAILED) {
    throw std::runtime_error(std::string("cannot map the flight recorder: ") +
                             std::strerror(errno));
  }
  return static_cast<FlightPage*>(memory);
}

}  // namespace

Recorder::Recorder() : page_(map_page(-1)), below_(kSlots + 1) {
  page_->magic = kFlightMagic;
  page_->slots = kSlots;
}

Recorder::Recorder(int fd) : fd_(fd), below_(kSlots + 1) {
  struct stat file {};
  if (::fstat(fd, &file) != 0 || file.st_size != static_cast<off_t>(sizeof(FlightPage))) {
    throw std::runtime_error("the flight recorder's file has the wrong size");
  }
  page_ = map_page(fd);
  if (page_->magic != kFlightMagic || page_->slots != kSlots) {
    ::munmap(page_, sizeof(FlightPage));
    throw std::runtime_error("the flight recorder's file is of another version");
  }
}

Recorder::~Recorder() {
  ::munmap(page_, sizeof(FlightPage));
  if (fd_ >= 0) ::close(fd_);
}

std::uint32_t Recorder::take_untouched() {
  std::uint32_t slot = untouched_.load(std::memory_order_relaxed);
  while (slot <= kSlots) {
    if (untouched_.compare_exchange_weak(slot, slot + 1, std::memory_order_relaxed)) return slot;
  }
  return kNoSlot;
}

void Recorder::release(std::span<const std::uint32_t> slots) {
  if (slots.empty()) return;
  // All of them come onto the stack at once: what one of these threads wrote last comes to the
  // other much later, and each step on the stack itself would wait for that.
  for (std::size_t i = 0; i < slots.size(); ++i) {
    CALLBOARD_CHECK(slots[i] != kNoSlot && slots[i] <= kSlots);
    page_->slot[slots[i] - 1].state.store(static_cast<std::uint32_t>(SlotState::free),
                                          std::memory_order_release);
    if (i > 0) {
      below_[slots[i]].store(static_cast<std::uint16_t>(slots[i - 1]), std::memory_order_relaxed);
    }
  }
  std::uint64_t word = freed_.load(std::memory_order_relaxed);
  Freed next;
  do {
    const Freed freed = of_word(word);
    below_[slots.front()].store(freed.top, std::memory_order_relaxed);
    next.top = static_cast<std::uint16_t>(slots.back());
    next.count = static_cast<std::uint16_t>(freed.count + slots.size());
    next.change = freed.change + 1;
  } while (!freed_.compare_exchange_weak(word, word_of(next), std::memory_order_release,
                                         std::memory_order_relaxed));
}

RunningNow Recorder::running_now() const {
  RunningNow now;
  const std::uint32_t end = std::min(untouched_.load(std::memory_order_relaxed), kSlots + 1);
  for (std::uint32_t number = kNoSlot + 1; number < end; ++number) {
    const FlightSlot& slot = page_->slot[number - 1];
    const auto state = static_cast<SlotState>(slot.state.load(std::memory_order_acquire));
    if (state != SlotState::begun) continue;
    ++now.calls;
    const std::int64_t began_us = slot.began_us.load(std::memory_order_relaxed);
    if (now.oldest_us == 0 || began_us < now.oldest_us) now.oldest_us = began_us;
  }
  return now;
}

void Recorder::set_pid(std::uint64_t pid) { page_->pid = pid; }

void Recorder::blame(std::uint32_t slot, int signal) {
  std::uint32_t none = 0;
  if (!page_->blamed_signal.compare_exchange_strong(none, static_cast<std::uint32_t>(signal))) {
    return;
  }
  if (slot == kNoSlot || slot > kSlots) return;
  page_->blamed_session = page_->slot[slot - 1].call_session;
  page_->blamed_seq = page_->slot[slot - 1].call_seq;
}

}  // namespace callboard::worker
