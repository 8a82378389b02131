// One life of a simulated process: its clocks, its timers, and whether it runs.
//
// Timers of a dead process never fire, those of a frozen one (SIGSTOP) fire when it wakes up.
// Thread safety: none.
#pragma once

#include "common/time.hpp"
#include "tests/sim/schedule.hpp"
#include "tests/sim/spec.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace callboard::sim {

/// How far the wall clocks of two hosts are apart.
inline constexpr std::int64_t kWallSkewMs = 50;

/// How far the clocks of one process are from virtual time.
struct ClockOffsets {
  std::int64_t mono_us = 0;
  std::int64_t wall_ms = 0;
};

class Process {
 public:
  Process(Schedule& schedule, ProcessId id, std::string name, ClockOffsets offsets)
      : schedule_(schedule), id_(id), name_(std::move(name)), offsets_(offsets),
        alive_(std::make_shared<bool>(true)) {}
  ~Process() { *alive_ = false; }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  ProcessId id() const { return id_; }
  const std::string& name() const { return name_; }
  bool alive() const { return *alive_; }

  /// What its clocks say.
  Instant now() const {
    return {schedule_.now() + offsets_.mono_us, schedule_.now() / 1000 + offsets_.wall_ms};
  }
  /// A moment of its steady clock in virtual time.
  std::int64_t to_virtual(std::int64_t mono_us) const { return mono_us - offsets_.mono_us; }

  void later(std::int64_t delay_us, std::function<void()> action) {
    schedule_.after(delay_us, guarded(std::move(action)));
  }
  /// At a moment of its steady clock, or at once when that has passed.
  void at_mono(std::int64_t mono_us, std::function<void()> action) {
    schedule_.at(std::max(to_virtual(mono_us), schedule_.now()), guarded(std::move(action)));
  }

  /// kill -9: no timer fires any more.
  void die() { *alive_ = false; }
  /// SIGSTOP for this long. Frames gather meanwhile.
  void freeze(std::int64_t for_us) {
    frozen_until_us_ = std::max(frozen_until_us_, schedule_.now() + for_us);
  }
  void thaw() { frozen_until_us_ = 0; }
  /// The wall clock jumps.
  void jump_wall(std::int64_t by_ms) { offsets_.wall_ms += by_ms; }

 private:
  Schedule::Action guarded(std::function<void()> action) {
    return [this, alive = alive_, action = std::move(action)]() mutable {
      if (!*alive) return;
      if (frozen_until_us_ > schedule_.now()) {
        schedule_.at(frozen_until_us_, guarded(std::move(action)));
        return;
      }
      action();
    };
  }

  Schedule& schedule_;
  ProcessId id_;
  std::string name_;
  ClockOffsets offsets_;
  std::shared_ptr<bool> alive_;
  std::int64_t frozen_until_us_ = 0;
};

}  // namespace callboard::sim
