// RUN and DONE, the messages of every call that a worker reads and writes: inlined, so that what a
// message says goes straight to where it is wanted.
//
// Thread safety: none.
#pragma once

#include "common/fields.hpp"
#include "common/messages.hpp"
#include "common/packed.hpp"

#include <cstddef>
#include <cstdint>

namespace callboard::wire {

/// As read(). `frame` is copied for the fields of fixed form, and kept in registers: see Reader.
[[gnu::always_inline]] inline bool read_run(FrameReader& frame, std::uint32_t fields, Run& m) {
  FrameReader in = frame;
  const bool good = fields >= 9 && in.uint(m.lease) && read_u32(in, m.slot) &&
                    read_u32(in, m.method) && read_id(in, m.call) && read_u32(in, m.attempt) &&
                    in.integer(m.deadline_ms) && in.body(m.args) &&
                    m.deadline_ms >= -limits::kDurationMsMax &&
                    m.deadline_ms <= limits::kDurationMsMax;
  if (!good) return frame.fail();
  const bool options = !in.try_nil();
  frame.go_on_after(in);
  m.options = {};
  if (options && !read_encoded_map(frame, m.options)) return false;
  return fields == 9 || frame.skip_fields(fields - 9);
}

/// A DONE; `value()` writes the value.
template <class Value>
[[gnu::always_inline]] inline void pack_done(PackedAt& head, std::uint64_t lease, Errc status,
                                             bool held, Value value) {
  head.array(5);
  head.uint(static_cast<std::uint8_t>(Type::done));
  head.uint(lease);
  head.uint(static_cast<std::uint64_t>(status));
  value();
  head.boolean(held);
}

/// Writes DONEs, many into one frame: room for the next ones is made together.
class DoneWriter {
 public:
  explicit DoneWriter(FrameWriter frame) : frame_(frame), head_(frame_.out(), kRoomBytes) {}

  /// Asked before each: whether another one, with so many bytes, belongs into this frame.
  bool takes(std::size_t bytes) {
    if (bytes >= limits::kPartBytesMin) bytes = 0;  // a part
    if (head_.has_room(bytes)) return true;
    if (frame_.full(head_.size())) return false;
    head_.make_room(bytes, kRoomBytes);
    return true;
  }
  /// `part`: what holds the bytes, if it is one. REQUIRES: takes() said so.
  void write(std::uint64_t lease, Errc status, std::string_view bytes, const Blob& part,
             bool held) {
    pack_done(head_, lease, status, held, [&] { head_.body(frame_, bytes, part); });
    if (bytes.size() >= limits::kPartBytesMin) head_.end_room();  // ask how many parts there are
  }

 private:
  static constexpr std::size_t kRoomBytes = 1024;

  FrameWriter frame_;
  Packed head_;
};

}  // namespace callboard::wire
