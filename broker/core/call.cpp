#include "broker/core/call.hpp"

#include "common/check.hpp"

#include <memory>
#include <utility>

namespace callboard::broker {

Call& CallSlab::make() {
  if (free_.empty()) {
    chunks_.push_back(std::make_unique<Call[]>(kChunk));
    free_.reserve(chunks_.size() * kChunk);
    for (std::size_t i = kChunk; i > 0; --i) free_.push_back(&chunks_.back()[i - 1]);
  }
  Call& call = *free_.back();
  free_.pop_back();
  ++used_;
  return call;
}

void CallSlab::free(Call& call) {
  CALLBOARD_CHECK(!call.in_list);
  const std::uint32_t generation = call.generation + 1;
  // The next call comes here, most likely, and has as much to keep. Of many that are free only
  // some keep their room.
  std::unique_ptr<char[]> room;
  std::uint32_t bytes = 0;
  if (call.data_bytes <= kRoomSteps * kRoomStep && free_.size() < kSpareRooms) {
    room = std::move(call.data);
    bytes = call.data_bytes;
  } else {
    keep_room(call);
  }
  std::destroy_at(&call);
  std::construct_at(&call);
  call.generation = generation;
  call.data = std::move(room);
  call.data_bytes = bytes;
  free_.push_back(&call);
  --used_;
}

void CallSlab::give_room(Call& call, std::size_t bytes) {
  if (bytes <= call.data_bytes) return;
  keep_room(call);
  const std::size_t steps = (bytes + kRoomStep - 1) / kRoomStep;
  const std::size_t room = steps <= kRoomSteps ? steps * kRoomStep : bytes;
  if (steps <= kRoomSteps && !rooms_[steps].empty()) {
    call.data = std::move(rooms_[steps].back());
    rooms_[steps].pop_back();
  } else {
    call.data = std::make_unique_for_overwrite<char[]>(room);
  }
  call.data_bytes = static_cast<std::uint32_t>(room);
}

void CallSlab::keep_room(Call& call) {
  const std::size_t steps = call.data_bytes / kRoomStep;
  if (call.data_bytes == steps * kRoomStep && steps > 0 && steps <= kRoomSteps &&
      rooms_[steps].size() < kSpareRooms) {
    rooms_[steps].push_back(std::move(call.data));
  }
  call.data.reset();
  call.data_bytes = 0;
}

}  // namespace callboard::broker
