#include "common/zmtp/message_reader.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace callboard::zmtp {

namespace {

/// A buffer beyond this was for something rare.
constexpr std::size_t kSpareBytesMax = 512 * 1024;

}  // namespace

RawBytes ReadBuffer::lend(std::size_t bytes) {
  RawBytes out = std::exchange(spare_, {});
  if (out.capacity < bytes) {
    out.data.reset(new char[bytes]);
    out.capacity = bytes;
  }
  out.size = bytes;
  return out;
}

void ReadBuffer::give_back(RawBytes bytes) {
  if (bytes.capacity > kSpareBytesMax || bytes.capacity <= spare_.capacity) return;
  spare_ = std::move(bytes);
}

std::size_t MessageReader::room(std::array<iovec, 2>& out, ReadBuffer& buffer) const {
  out[1] = {};
  if (!filling_) {
    out[0] = buffer.room();
    return 1;
  }
  out[0] = {own_body() + filled_, body_bytes_ - filled_};
  out[1] = buffer.room();
  return 2;
}

void MessageReader::arrived(std::size_t bytes, ReadBuffer& buffer) {
  if (filling_) {
    const std::size_t into_body = std::min(bytes, body_bytes_ - filled_);
    filled_ += into_body;
    bytes -= into_body;
  }
  buffer.arrived(bytes);
}

MessageReader::Next MessageReader::next(ReadBuffer& buffer) {
  let_go(buffer);
  for (;;) {
    bool whole = false;
    if (filling_) {
      if (filled_ < body_bytes_) return Next::more;
      filling_ = false;
      whole = take_body({own_body(), body_bytes_}, false);
    } else {
      const Heard header = has_header_ ? Heard::yes : read_header(buffer);
      if (header == Heard::no) return Next::broken;
      if (header == Heard::more) {
        keep_head(buffer);
        return Next::more;
      }
      const std::string_view rest = buffer.rest();
      if (rest.size() < body_bytes_) {
        if (!begin_filling(buffer)) return Next::broken;
        keep_head(buffer);
        return Next::more;
      }
      buffer.take(body_bytes_);
      whole = take_body(rest.substr(0, body_bytes_), true);
    }
    has_header_ = false;
    if (is_command_) return Next::command;
    if (!whole) continue;
    handed_out_ = true;
    return Next::message;
  }
}

Heard MessageReader::read_header(ReadBuffer& buffer) {
  std::array<char, kHeaderBytesMax> header = header_;
  const std::string_view rest = buffer.rest();
  const std::size_t more = std::min(rest.size(), header.size() - header_bytes_);
  rest.copy(header.data() + header_bytes_, more);
  const std::size_t there = header_bytes_ + more;
  const auto flags = static_cast<std::uint8_t>(header[0]);
  const std::size_t size = there == 0 || (flags & kLong) != 0 ? kHeaderBytesMax : 2;
  body_bytes_ = 0;
  if (there < size) {
    buffer.take(more);
    header_ = header;
    header_bytes_ = static_cast<std::uint8_t>(there);
    return Heard::more;
  }
  buffer.take(size - header_bytes_);
  header_bytes_ = 0;
  flags_ = flags;
  for (std::size_t i = 1; i < size; ++i) {
    body_bytes_ = body_bytes_ << 8 | static_cast<std::uint8_t>(header[i]);
  }
  const bool command = (flags & kCommand) != 0;
  const bool odd = (flags & ~(kMore | kLong | kCommand)) != 0 || (command && (flags & kMore) != 0);
  const std::size_t bytes_max = command ? kCommandBytesMax : part_bytes_max_;
  if (odd || body_bytes_ > bytes_max) return Heard::no;
  has_header_ = true;
  return Heard::yes;
}

/// False when there is no memory for it: whoever announces so much cannot be heard.
bool MessageReader::begin_filling(ReadBuffer& buffer) {
  const std::string_view rest = buffer.rest();
  try {
    if ((flags_ & kCommand) == 0 && has_head_) {
      part_ = std::make_shared_for_overwrite<char[]>(body_bytes_);
    } else {
      body_ = buffer.lend(body_bytes_);
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
  rest.copy(own_body(), rest.size());
  buffer.take(rest.size());
  filled_ = rest.size();
  filling_ = true;
  return true;
}

/// The buffer will be read into again.
void MessageReader::keep_head(ReadBuffer& buffer) {
  if (!has_head_ || own_head_.data != nullptr) return;
  own_head_ = buffer.lend(head_.size());
  head_.copy(own_head_.data.get(), head_.size());
  head_ = own_head_.view();
}

void MessageReader::let_go(ReadBuffer& buffer) {
  if (is_command_) {
    is_command_ = false;
    if (body_.data != nullptr) buffer.give_back(std::move(body_));
    body_ = {};
  }
  if (!handed_out_) return;
  handed_out_ = has_head_ = false;
  head_ = {};
  parts_.clear();
  if (own_head_.data != nullptr) buffer.give_back(std::move(own_head_));
  own_head_ = {};
}

/// A body that is whole. True when the message is, too.
bool MessageReader::take_body(std::string_view body, bool in_buffer) {
  if ((flags_ & kCommand) != 0) {
    is_command_ = true;
    command_ = body;
    return false;
  }
  if (!has_head_) {
    has_head_ = true;
    head_ = body;
    if (!in_buffer) {
      own_head_ = std::exchange(body_, {});
      head_ = {own_head_.data.get(), body.size()};
    }
  } else if (parts_.size() < parts_max_) {
    parts_.push_back(in_buffer ? Blob(std::string(body)) : Blob(std::exchange(part_, {}), body));
  }
  part_.reset();
  return (flags_ & kMore) == 0;
}

}  // namespace callboard::zmtp
