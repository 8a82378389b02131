// What a future holds of the state that it shares with its copies and with the client that answers.
//
// Thread safety: as a std::shared_ptr's. The count lies in the state itself, which its client holds
// from the start: a call would count three times otherwise, each a locked instruction.
#pragma once

#include <cstddef>
#include <utility>

namespace callboard::client {

class FutureState;

/// One holder more, and one less. The last one ends it.
void hold(FutureState& state) noexcept;
void let_go(FutureState& state) noexcept;

class StatePtr {
 public:
  StatePtr() = default;
  explicit(false) StatePtr(std::nullptr_t) {}
  /// Takes over a holder.
  explicit StatePtr(FutureState* held) : state_(held) {}
  StatePtr(const StatePtr& other) : state_(other.state_) {
    if (state_ != nullptr) hold(*state_);
  }
  StatePtr(StatePtr&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  StatePtr& operator=(StatePtr other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~StatePtr() {
    if (state_ != nullptr) let_go(*state_);
  }

  FutureState* get() const { return state_; }
  FutureState& operator*() const { return *state_; }
  FutureState* operator->() const { return state_; }
  explicit operator bool() const { return state_ != nullptr; }
  bool operator==(const StatePtr&) const = default;
  void reset() { *this = StatePtr(); }

 private:
  FutureState* state_ = nullptr;
};

}  // namespace callboard::client
