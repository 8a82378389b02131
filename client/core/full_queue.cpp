#include "client/core/full_queue.hpp"

#include "client/core/call_table.hpp"
#include "common/messages.hpp"
#include "common/time.hpp"

#include <algorithm>

namespace callboard::client {

namespace {

constexpr std::int64_t kCalmUs = 200'000;  ///< without refusals: the overload is over

}  // namespace

void FullQueue::refused(const FullTold& told, std::string_view name) {
  window_ = std::clamp<std::uint64_t>(known() ? window_ / 2 : told.room, 1, told.room);
  closed_until_us_ = told.now_us + told.retry_after_us;
  retry_after_us_ = told.retry_after_us;
  busy_us_ = told.now_us;
  all_ = told.all;
  progress_ = told.progress;
  credit_ = 0;
  name_ = name;
  told_ms_ = 0;
}

void FullQueue::progressed(const QueueProgress& progress) {
  window_ += progress.accepted - progress_.accepted;
  credit_ += progress.ended - progress_.ended;
  progress_ = progress;
}

bool FullQueue::judge(std::int64_t now_us, std::uint8_t flags) {
  if (now_us >= closed_until_us_ && now_us >= busy_us_ + kCalmUs) {
    forget();
    return false;
  }
  // It is bounded apart, or waits for room.
  if ((flags & (kBoundedApart | kBlock)) != 0) return false;
  if (!all_ && (flags & kReject) == 0) return false;
  if (now_us >= closed_until_us_ && passed_ < progress_.settled + window_) return false;
  if (credit_ > 0) {
    --credit_;
    return false;
  }
  busy_us_ = now_us;
  return true;
}

std::string_view FullQueue::error(std::int64_t now_us) {
  // Once that is over it takes an answer to others, which takes about as long.
  const std::int64_t left_us =
      closed_until_us_ > now_us ? closed_until_us_ - now_us : retry_after_us_;
  const std::int64_t left_ms = millis_up(left_us);
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
