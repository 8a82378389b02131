#include "common/zmtp/stream.hpp"

#include "common/limits.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace callboard::zmtp {

namespace {

/// While more waits, pings get no answer: whoever does not read has no use for one, and must not
/// fill the memory with them.
constexpr std::size_t kWaitingBytesMax = 64 * 1024;

}  // namespace

Stream::Stream(int fd, Role role)
    : fd_(fd), reader_(limits::kPayloadBytesMax + limits::kFrameBytesMax, limits::kFramePartsMax) {
  const int on = 1;
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // no matter for ipc
  writer_.put(greeting());
  writer_.put(zmtp::ready(role == Role::dealer ? "DEALER" : "ROUTER"));
}

Stream::~Stream() { ::close(fd_); }

Stream::Read Stream::read(ReadBuffer& buffer) {
  std::array<iovec, 2> room{};
  msghdr message{};
  message.msg_iov = room.data();
  message.msg_iovlen = reader_.room(room, buffer);
  for (;;) {
    const ssize_t got = ::recvmsg(fd_, &message, MSG_DONTWAIT);
    if (got > 0) {
      reader_.arrived(static_cast<std::size_t>(got), buffer);
      const std::size_t asked = room[0].iov_len + room[1].iov_len;
      return static_cast<std::size_t>(got) == asked ? Read::full : Read::some;
    }
    if (got == 0) return Read::ended;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? Read::nothing : Read::ended;
  }
}

Stream::Next Stream::next(ReadBuffer& buffer) {
  if (phase_ == Phase::greeting) {
    const Heard heard = hear_greeting(buffer);
    if (heard != Heard::yes) return heard == Heard::no ? Next::ended : Next::nothing;
    phase_ = Phase::introduction;
  }
  for (;;) {
    switch (reader_.next(buffer)) {
      case MessageReader::Next::message:
        return phase_ == Phase::ready ? Next::message : Next::ended;
      case MessageReader::Next::command:
        if (!hear_command(reader_.head())) return Next::ended;
        break;
      case MessageReader::Next::more: return Next::nothing;
      case MessageReader::Next::broken: return Next::ended;
    }
  }
}

Heard Stream::hear_greeting(ReadBuffer& buffer) {
  const std::string_view rest = buffer.rest();
  const std::size_t taken = std::min(rest.size(), kGreetingBytes - greeting_.size());
  greeting_ += rest.substr(0, taken);
  buffer.take(taken);
  return read_greeting(greeting_, minor_);
}

/// False when that ends the connection.
bool Stream::hear_command(std::string_view command) {
  if (phase_ != Phase::ready) {
    if (!read_ready(command, peer_)) return false;
    phase_ = Phase::ready;
    return true;
  }
  std::string_view context;
  if (read_ping(command, context)) {
    if (writer_.bytes() > kWaitingBytesMax) return true;
    writer_.put(pong(context));
    (void)flush();  // who cannot be answered may have said its last words after asking
    return true;
  }
  return !is_error(command);  // what else there may be is for others
}

/// Nothing can be written any more. Whoever reads finds the end then, too: the other end may have
/// stopped reading and nothing else.
bool Stream::end() {
  ::shutdown(fd_, SHUT_RDWR);
  return false;
}

bool Stream::ping() {
  writer_.put(zmtp::ping());
  return flush();
}

}  // namespace callboard::zmtp
