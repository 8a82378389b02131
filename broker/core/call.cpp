#include "broker/core/call.hpp"

#include "broker/core/session.hpp"
#include "common/check.hpp"

#include <memory>
#include <new>
#include <utility>

namespace callboard::broker {

CallExtra::~CallExtra() = default;

CallId Call::id() const { return {session->id, seq}; }

CallSlab::CallSlab() : calls_(sizeof(Call), kWarmChunks) {
  rooms_.reserve(kRoomSteps);
  for (std::size_t steps = 1; steps <= kRoomSteps; ++steps) rooms_.emplace_back(steps * kRoomStep);
}

CallSlab::~CallSlab() {
  calls_.each([this](char* slot) {
    Call* const call = reinterpret_cast<Call*>(slot);
    if (call->generation == 0) return;
    if (call->data_bytes > kRoomSteps * kRoomStep) take_room(*call);
    std::destroy_at(call);
  });
}

void CallSlab::free(Call& call) {
  CALLBOARD_CHECK(!call.in_list);
  --used_;
  // The next call comes here, most likely, and has as much to keep. Of many that are free only
  // some stay, with their room.
  const bool stays = ready_.size() < kReadyMax && call.data_bytes <= kRoomSteps * kRoomStep;
  if (!stays) take_room(call);
  char* const data = call.data;
  const std::uint32_t bytes = call.data_bytes;
  std::destroy_at(&call);
  std::construct_at(&call);
  if (!stays) return calls_.give(&call);
  call.data = data;
  call.data_bytes = bytes;
  ready_.push_back(&call);
}

void CallSlab::give_room(Call& call, std::size_t bytes) {
  if (bytes <= call.data_bytes) return;
  take_room(call);
  const std::size_t steps = (bytes + kRoomStep - 1) / kRoomStep;
  const bool small = steps <= kRoomSteps;
  call.data = small ? static_cast<char*>(rooms_[steps - 1].take()) : new char[bytes];
  call.data_bytes = static_cast<std::uint32_t>(small ? steps * kRoomStep : bytes);
  room_bytes_ += call.data_bytes;
}

void CallSlab::take_room(Call& call) {
  room_bytes_ -= call.data_bytes;
  if (call.data_bytes > kRoomSteps * kRoomStep) {
    delete[] call.data;
  } else if (call.data_bytes > 0) {
    rooms_[call.data_bytes / kRoomStep - 1].give(call.data);
  }
  call.data = nullptr;
  call.data_bytes = 0;
}

}  // namespace callboard::broker
