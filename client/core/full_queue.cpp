#include "client/core/full_queue.hpp"

#include "client/core/call_table.hpp"
#include "common/limits.hpp"
#include "common/messages.hpp"
#include "common/time.hpp"

#include <algorithm>
#include <utility>

namespace callboard::client {

void FullQueue::refused(const FullTold& told, std::string_view name) {
  if (!known()) next_room_ = told.room;
  else if (std::exchange(tried_, false)) next_room_ /= 4;  // it was doubled when they passed
  next_room_ = std::clamp<std::uint64_t>(next_room_, 1, told.room);
  until_us_ = told.now_us + told.retry_after_us;
  length_us_ = told.retry_after_us;
  all_ = told.all;
  room_ = 0;
  busy_ = true;
  name_ = name;
  told_ms_ = 0;
}

void FullQueue::begin_again(std::int64_t now_us) {
  room_ = std::max(room_, next_room_);
  next_room_ = std::min(next_room_ * 2, limits::kMaxPendingDefault);
  until_us_ = now_us + length_us_;
  tried_ = true;
  busy_ = false;
}

bool FullQueue::refuses(std::int64_t now_us, std::uint8_t flags) {
  if (known() && now_us >= until_us_) busy_ ? begin_again(now_us) : forget();
  if (!known()) return false;
  // It is bounded apart, or waits for room.
  if ((flags & (kBoundedApart | kBlock)) != 0) return false;
  if (!all_ && (flags & kReject) == 0) return false;
  if (room_ > 0) {
    --room_;
    return false;
  }
  busy_ = true;
  return true;
}

std::string_view FullQueue::error(std::int64_t now_us) {
  const std::int64_t left_ms = (until_us_ - now_us + kMicrosPerMilli - 1) / kMicrosPerMilli;
  if (left_ms == told_ms_) return bytes_;
  told_ms_ = left_ms;
  ErrorInfo error;
  error.code = Errc::queue_full;
  error.message = "it was full a moment ago";
  error.place = name_;
  error.retry_after_ms = left_ms;
  bytes_ = wire::encode(error);
  return bytes_;
}

}  // namespace callboard::client
