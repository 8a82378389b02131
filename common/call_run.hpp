// What there is one of for each call: SUBMIT is written and RESULT read here, inlined, since all
// else that a client does for a call costs little more than calling a function for each.
//
// Thread safety: none.
#pragma once

#include "common/fields.hpp"
#include "common/link.hpp"
#include "common/packed.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace callboard::wire {

/// A SUBMIT; `args()` writes the arguments.
template <class Args>
[[gnu::always_inline]] inline void pack_submit(PackedAt& head, std::uint64_t seq,
                                               std::uint32_t handle, std::uint32_t method,
                                               std::string_view options, Args args) {
  head.array(6);
  head.uint(static_cast<std::uint8_t>(Type::submit));
  head.uint(seq);
  head.uint(handle);
  head.uint(method);
  args();
  head.encoded(options);
}

/// Writes calls whose arguments travel in the head of a frame. Room is made for many of them at
/// once, so the frame is whole only after close(), which comes before anybody else writes to it.
class CallRun {
 public:
  explicit CallRun(LinkOut& out) : out_(out) {}
  ~CallRun() { close(); }
  CallRun(const CallRun&) = delete;
  CallRun& operator=(const CallRun&) = delete;

  /// REQUIRES: fewer than kPartBytesMin bytes in `args`.
  [[gnu::always_inline]] void write(std::uint64_t seq, std::uint32_t handle, std::uint32_t method,
                                    std::string_view args, std::string_view options) {
    const std::size_t bytes = kNumbersBytes + args.size() + options.size();
    if (bytes > static_cast<std::size_t>(end_ - at_)) make_room(bytes);
    PackedAt head(at_);
    pack_submit(head, seq, handle, method, options, [&] { head.bin(args); });
    at_ = head.end();
  }
  void close() {
    if (head_ == nullptr) return;
    head_->resize(static_cast<std::size_t>(at_ - head_->data()));
    head_ = nullptr;
    at_ = end_ = nullptr;
  }

 private:
  static constexpr std::size_t kNumbersBytes = 8 * PackedAt::kNumberBytes;
  static constexpr std::size_t kRoomBytes = 2000;

  [[gnu::noinline]] void make_room(std::size_t bytes) {
    close();
    head_ = &out_.message().out();
    const std::size_t from = head_->size();
    // A frame is full at the same call as it would be without room for others.
    const std::size_t left = limits::kFrameBytesTarget - std::min(from, limits::kFrameBytesTarget);
    const std::size_t room = std::max(bytes, std::min(left, kRoomBytes));
    head_->resize(from + room);
    at_ = head_->data() + from;
    end_ = at_ + room;
  }

  LinkOut& out_;
  std::string* head_ = nullptr;  ///< set while it is longer than what was written to it
  char* at_ = nullptr;
  char* end_ = nullptr;
};

/// What read() of a CallResult is.
[[gnu::always_inline]] inline bool read_result(FrameReader& frame, std::uint32_t fields,
                                               CallResult& m) {
  FrameReader in = frame;  // in registers: see Reader
  if (fields < 3 || !in.uint(m.seq) || !read_code(in, m.status) || !in.body(m.value)) {
    return frame.fail();
  }
  frame.go_on_after(in);
  return fields == 3 || frame.skip_fields(fields - 3);
}

}  // namespace callboard::wire
