#include "common/zmtp/message_writer.hpp"

#include "common/zmtp/greeting.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace callboard::zmtp {

namespace {

/// Pieces given to the system in one call.
constexpr std::size_t kPiecesMax = 64;
/// A message of more parts is put together first.
constexpr std::size_t kPartsAtOnce = kPiecesMax / 2 - 1;
/// A part of fewer bytes is copied rather than kept.
constexpr std::size_t kKeptBytesMin = 4 * 1024;
/// What was copied is put together up to here.
constexpr std::size_t kCopiedBytesMax = 64 * 1024;

/// How many bytes the socket took; 0 when it takes none now, -1 when it will never take any.
std::ptrdiff_t write_pieces(int fd, iovec* pieces, std::size_t count) {
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  for (;;) {
    const ssize_t written = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written >= 0) return written;
    if (errno == EINTR) continue;
    const int error = errno;
    const bool full = error == EAGAIN || error == EWOULDBLOCK;
    // Where the kernel has no memory for its buffers it may have some later. The connection is as
    // good as before, and a message left out of it would never be missed.
    return full || error == ENOBUFS || error == ENOMEM ? 0 : -1;
  }
}

iovec piece_of(std::string_view bytes) {
  return {const_cast<char*>(bytes.data()), bytes.size()};  // it is only read
}

std::uint8_t more_if(bool more) { return more ? kMore : 0; }

}  // namespace

void MessageWriter::put(std::string_view frames) {
  std::size_t skip = 0;
  keep(frames, skip);
}

bool MessageWriter::send(int fd, std::string_view head, std::span<const Blob> parts) {
  std::size_t written = 0;
  if (waiting_.empty() && parts.size() <= kPartsAtOnce) {
    if (!send_at_once(fd, head, parts, written)) return false;
    if (written == SIZE_MAX) return true;
  }
  const bool was_empty = waiting_.empty();
  std::array<char, kHeaderBytesMax> header{};
  const auto keep_header = [&](std::size_t bytes, bool more) {
    keep({header.data(), write_header(header.data(), bytes, more_if(more))}, written);
  };
  keep_header(head.size(), !parts.empty());
  keep(head, written);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    keep_header(parts[i].size(), i + 1 < parts.size());
    keep(parts[i], written);
  }
  ++waiting_.back().ends;
  ++messages_;
  return !was_empty || flush(fd);
}

/// `written`: so many bytes; SIZE_MAX: all.
bool MessageWriter::send_at_once(int fd, std::string_view head, std::span<const Blob> parts,
                                 std::size_t& written) const {
  std::array<char, kHeaderBytesMax * kPiecesMax / 2> headers;
  std::array<iovec, kPiecesMax> pieces;
  char* header = headers.data();
  std::size_t count = 0;
  std::size_t bytes = 0;
  const auto add = [&](std::string_view body, bool more) {
    const std::size_t header_bytes = write_header(header, body.size(), more_if(more));
    pieces[count++] = {header, header_bytes};
    pieces[count++] = piece_of(body);
    header += header_bytes;
    bytes += header_bytes + body.size();
  };
  add(head, !parts.empty());
  for (std::size_t i = 0; i < parts.size(); ++i) add(parts[i].view(), i + 1 < parts.size());
  const std::ptrdiff_t done = write_pieces(fd, pieces.data(), count);
  if (done < 0) return false;
  written = static_cast<std::size_t>(done);
  if (written == bytes) written = SIZE_MAX;
  return true;
}

bool MessageWriter::flush(int fd) {
  while (!waiting_.empty()) {
    std::array<iovec, kPiecesMax> pieces;
    std::size_t count = 0;
    for (const Piece& piece : waiting_) {
      if (count == pieces.size()) break;
      pieces[count] = piece_of(piece.view().substr(count == 0 ? first_written_ : 0));
      ++count;
    }
    const std::ptrdiff_t done = write_pieces(fd, pieces.data(), count);
    if (done < 0) return false;
    if (done == 0) return true;
    bytes_ -= static_cast<std::size_t>(done);
    first_written_ += static_cast<std::size_t>(done);
    while (!waiting_.empty() && first_written_ >= waiting_.front().view().size()) {
      first_written_ -= waiting_.front().view().size();
      messages_ -= waiting_.front().ends;
      waiting_.pop_front();
    }
  }
  return true;
}

/// Of `bytes`, what remains when the first `skip` of all that follows are written already.
void MessageWriter::keep(std::string_view bytes, std::size_t& skip) {
  const std::size_t written = std::min(skip, bytes.size());
  skip -= written;
  bytes.remove_prefix(written);
  const bool joins = !waiting_.empty() && !waiting_.back().blob &&
                     waiting_.back().copied.size() < kCopiedBytesMax;
  if (!joins) waiting_.emplace_back();
  waiting_.back().copied += bytes;
  bytes_ += bytes.size();
}

void MessageWriter::keep(const Blob& blob, std::size_t& skip) {
  if (blob.size() < kKeptBytesMin) return keep(blob.view(), skip);
  const std::size_t written = std::min(skip, blob.size());
  skip -= written;
  waiting_.emplace_back();
  waiting_.back().blob = Blob(blob.owner(), blob.view().substr(written));
  bytes_ += blob.size() - written;
}

}  // namespace callboard::zmtp
