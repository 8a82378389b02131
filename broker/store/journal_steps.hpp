// What every call does in the journal, inlined there. Included by journal.hpp only.
#pragma once

#include "broker/store/journal.hpp"
#include "common/check.hpp"

namespace callboard::broker {

/// Where an operation of the queue may begin, with `room` for its values.
inline char* Journal::operation(std::uint32_t queue, std::size_t room) {
  ++noted_;
  if (queue != spoken_of_) name_queue(queue);
  return gathered_->bytes.room(kOperationBytes + room);
}

/// Writes one that has nothing but a number.
inline void Journal::add_number(std::uint32_t queue, Operation what, std::uint64_t number) {
  CALLBOARD_CHECK(number < ChangeTable::kNumbersEnd);
  wire::PackedAt out(operation(queue, 0));
  put(out, what);
  out.uint(number);
  gathered_->bytes.end_at(out.end());
}

inline char* Journal::begin_call(std::uint32_t queue, std::uint64_t number, std::size_t room) {
  CALLBOARD_CHECK(number < ChangeTable::kNumbersEnd);
  char* const at = operation(queue, kLengthBytes + room);
  call_number_ = number;
  call_from_ = gathered_->bytes.size();
  wire::PackedAt out(at);
  put(out, Operation::call);
  out.uint(number);
  call_at_ = call_from_ + static_cast<std::size_t>(out.end() - at) + kLengthBytes;
  return out.end() + kLengthBytes;
}

inline void Journal::end_call(const char* end) {
  RecordBytes& bytes = gathered_->bytes;
  bytes.end_at(end);
  const std::size_t size = bytes.size() - call_at_;
  const std::uint32_t queue = spoken_of_;
  if (size > kCarriedBytesMax || outlives(queue, call_number_)) {
    return write_beside(queue, call_number_, size);
  }
  bytes.write_length(call_at_ - kLengthBytes, size);
  changes_.note_set(ChangeTable::key_of(queue, QueuePart::calls), call_number_, *gathered_,
                    bytes.part(call_at_, size));
}

inline void Journal::erase_call(std::uint32_t queue, std::uint64_t number) {
  add_number(queue, Operation::call_ended, number);
  ChangeTable::Tide& tide = changes_.tide(queue);
  if (tide.sample == number) sample_ended(tide);
  if (changes_.mention(queue).beside_no == gathered_->no) return erase_beside(queue, number);
  changes_.note_erased(ChangeTable::key_of(queue, QueuePart::calls), number, *gathered_);
}

/// Whether a new call of the queue will still be there when the settle time is over: those before
/// were, and none that was written at once has ended sooner since.
inline bool Journal::outlives(std::uint32_t queue, std::uint64_t number) {
  ChangeTable::Tide& tide = changes_.tide(queue);
  if (tide.outlived < backlog_) return false;
  sample(tide, number);
  return true;
}

}  // namespace callboard::broker
