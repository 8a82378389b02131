// Puts the messages of one connection together from the bytes that arrive.
//
// Most messages lie whole in the buffer that was read into, and are read there. What is cut off at
// its end gets memory of its own, and its rest is read straight into that: no byte is copied twice.
// Thread safety: none.
#pragma once

#include "common/blob.hpp"
#include "common/zmtp/greeting.hpp"

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace callboard::zmtp {

/// Memory that is not zeroed, as long as it is needed.
struct RawBytes {
  std::unique_ptr<char[]> data;
  std::size_t capacity = 0;
  std::size_t size = 0;

  std::string_view view() const { return {data.get(), size}; }
};

/// What was read and not yet taken. Several connections may use one, one after the other: the next
/// when the one before has taken everything.
class ReadBuffer {
 public:
  static constexpr std::size_t kBytes = 64 * 1024;

  bool empty() const { return begin_ == end_; }
  std::string_view rest() const { return {bytes_.get() + begin_, end_ - begin_}; }
  void take(std::size_t bytes) { begin_ += bytes; }
  /// Where the next bytes go. REQUIRES: empty()
  iovec room() {
    if (bytes_ == nullptr) bytes_.reset(new char[kBytes]);
    begin_ = end_ = 0;
    return {bytes_.get(), kBytes};
  }
  void arrived(std::size_t bytes) { end_ = bytes; }
  void clear() { begin_ = end_ = 0; }
  /// Memory for something that did not fit; given back when it is not needed any more.
  RawBytes lend(std::size_t bytes);
  void give_back(RawBytes bytes);

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  RawBytes spare_;
};

class MessageReader {
 public:
  /// `part_bytes_max`: a bigger frame is not read; `parts_max`: parts beyond are left out.
  MessageReader(std::size_t part_bytes_max, std::size_t parts_max)
      : part_bytes_max_(part_bytes_max), parts_max_(parts_max) {}

  /// Where the next bytes of the connection go. REQUIRES: next() has said `more`.
  std::size_t room(std::array<iovec, 2>& out, ReadBuffer& buffer) const;
  void arrived(std::size_t bytes, ReadBuffer& buffer);

  enum class Next : std::uint8_t {
    message,  ///< head() and parts() have it until the next call
    command,  ///< head() has its body
    more,     ///< nothing is left in the buffer
    broken,   ///< this is not ZMTP, or too big for us or for this machine
  };
  Next next(ReadBuffer& buffer);
  std::string_view head() const { return is_command_ ? command_ : head_; }
  std::vector<Blob>& parts() { return parts_; }

 private:
  Heard read_header(ReadBuffer& buffer);
  bool begin_filling(ReadBuffer& buffer);
  void keep_head(ReadBuffer& buffer);
  void let_go(ReadBuffer& buffer);
  bool take_body(std::string_view body, bool in_buffer);
  /// The memory of the body that is being filled.
  char* own_body() const { return part_ ? part_.get() : body_.data.get(); }

  std::size_t part_bytes_max_;
  std::size_t parts_max_;
  // The frame being read.
  std::array<char, kHeaderBytesMax> header_{};
  std::uint8_t header_bytes_ = 0;  ///< of them, when they were cut off
  std::uint8_t flags_ = 0;
  std::size_t body_bytes_ = 0;
  bool has_header_ = false;
  bool filling_ = false;     ///< its body has memory of its own
  std::size_t filled_ = 0;
  RawBytes body_;                      ///< of a head or a command
  std::shared_ptr<char[]> part_;       ///< of a part
  // The message being put together, or handed out.
  bool handed_out_ = false;
  bool has_head_ = false;
  bool is_command_ = false;
  std::string_view head_;
  std::string_view command_;
  RawBytes own_head_;
  std::vector<Blob> parts_;
};

}  // namespace callboard::zmtp
