// A frame: one ZeroMQ message that carries many of ours.
//
// Part 0 ("head") is a concatenation of MessagePack values: first [version, epoch], then messages,
// each an array that begins with its type. Values of kPartBytesMin bytes and more are parts 1..n,
// in the order in which the messages name them (a nil stands where the bytes would be).
#pragma once

#include "common/blob.hpp"
#include "common/limits.hpp"

#include <callboard/codec.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::wire {

/// The bytes of one value: borrowed from the head, or a part of its own.
struct Body {
  std::string_view bytes;
  Blob part;  ///< set when the value came as a part; then `bytes` is its view

  std::size_t size() const { return bytes.size(); }
};

/// A frame being built, or built.
struct Frame {
  std::string head;
  std::vector<Blob> parts;

  bool empty() const { return head.empty(); }
};

/// A frame that arrived; the receiver of the event does not own the bytes of `head`.
struct FrameView {
  std::string_view head;
  std::span<const Blob> parts;
};

/// Appends messages to one frame.
class FrameWriter : public Writer {
 public:
  FrameWriter(Frame& frame, std::uint64_t epoch) : Writer(frame.head), frame_(frame) {
    if (frame.head.empty()) {
      array(2);
      uint(limits::kProtocolVersionMax);
      uint(epoch);
    }
  }
  /// Begins a message of `n` fields after its type.
  void message(std::uint8_t type, std::size_t n) {
    array(n + 1);
    uint(type);
  }
  /// Appends a value, as a part when it is big.
  void body(const Body& value) {
    if (value.bytes.size() < limits::kPartBytesMin) return bin(value.bytes);
    nil();
    add_part(value);
  }
  /// The bytes alone, as a part. REQUIRES: the head has a nil for them.
  void add_part(const Body& value) { add_part(value.bytes, value.part); }
  void add_part(std::string_view bytes, const Blob& part) {
    frame_.parts.push_back(part ? part : Blob(std::string(bytes)));
  }
  bool full() const { return full(frame_.head.size()); }
  /// The same where the head has room at its end that does not count.
  bool full(std::size_t head_bytes) const {
    return head_bytes >= limits::kFrameBytesTarget ||
           frame_.parts.size() >= limits::kFramePartsMax / 2;
  }

 private:
  Frame& frame_;
};

/// Walks the messages of one frame.
class FrameReader : public Reader {
 public:
  explicit FrameReader(const FrameView& frame) : Reader(frame.head), parts_(frame.parts) {}

  /// What a copy of this one has read is read.
  void go_on_after(const FrameReader& copy) {
    next_part_ = copy.next_part_;
    Reader::go_on_after(copy);
  }

  /// Reads [version, epoch]. False when it is not a frame of ours.
  bool header(std::uint64_t& version, std::uint64_t& epoch) {
    std::uint32_t n = 0;
    return array(n) && n == 2 && uint(version) && uint(epoch);
  }
  /// Begins the next message: its type and the number of fields that follow.
  [[gnu::always_inline]] bool message(std::uint64_t& type, std::uint32_t& fields) {
    if (!array(fields) || fields == 0 || !uint(type)) return fail();
    --fields;
    return true;
  }
  /// Begins the next message if there is one and it is of this type; reads nothing otherwise.
  [[gnu::always_inline]] bool message_of(std::uint8_t type, std::uint32_t& fields) {
    const std::string_view next = rest();
    if (next.size() < 2 || static_cast<std::uint8_t>(next[1]) != type) return false;
    if ((static_cast<std::uint8_t>(next[0]) & 0xf0) != 0x90) return false;  // a few fields
    std::uint64_t same = 0;
    return message(same, fields);
  }
  /// Whether a message of this type begins so many bytes from here; `there` reads it then. Where
  /// messages are of one length that tells what comes some messages later; where they are not it
  /// may be wrong, so that it is good for nothing but to ask for memory.
  [[gnu::always_inline]] bool glance(std::uint8_t type, std::size_t bytes, Reader& there) const {
    const std::string_view ahead = rest();
    if (ahead.size() < 2 || bytes > ahead.size() - 2) return false;
    if (static_cast<std::uint8_t>(ahead[bytes + 1]) != type) return false;
    there = Reader(ahead.substr(bytes + 2));
    return true;
  }
  /// Reads a value that may be a part of its own.
  [[gnu::always_inline]] bool body(Body& value) {
    if (try_nil()) {
      if (next_part_ == parts_.size()) return fail();
      take_part(parts_[next_part_++], value);
      return true;
    }
    if (value.part) value.part = Blob();
    return bin(value.bytes);
  }
  /// Skips the fields of a message that a newer peer may have added at its end.
  bool skip_fields(std::uint32_t n) {
    for (; n > 0; --n) {
      if (!skip()) return false;
    }
    return true;
  }

 private:
  [[gnu::noinline]] static void take_part(const Blob& part, Body& value) {
    value.part = part;
    value.bytes = part.view();
  }

  std::span<const Blob> parts_;
  std::size_t next_part_ = 0;
};

}  // namespace callboard::wire
