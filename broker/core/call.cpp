#include "broker/core/call.hpp"

#include "common/check.hpp"

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
  call = Call();
  call.generation = generation;
  free_.push_back(&call);
  --used_;
}

}  // namespace callboard::broker
