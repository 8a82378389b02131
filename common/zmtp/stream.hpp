// One ZeroMQ connection over a socket: the greeting, then messages both ways.
//
// Nothing here waits, and no thread works behind it: whoever owns it reads when there is something
// to read, and flushes when the socket takes more. That is why it exists: ZeroMQ's library hands
// every message to a thread of its own, and a wake-up costs more than all else (decisions/0031).
// Thread safety: none.
#pragma once

#include "common/zmtp/greeting.hpp"
#include "common/zmtp/message_reader.hpp"
#include "common/zmtp/message_writer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::zmtp {

enum class Role : std::uint8_t { dealer, router };

class Stream {
 public:
  /// Takes over a socket that is connected, or about to be, and does not block.
  Stream(int fd, Role role);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int fd() const { return fd_; }
  /// Both ends have introduced themselves: messages may be sent.
  bool ready() const { return phase_ == Phase::ready; }
  /// Chosen by the other end; usually empty.
  const std::string& identity() const { return peer_.identity; }
  /// The other end answers pings.
  bool knows_pings() const { return minor_ >= 1; }

  enum class Read : std::uint8_t {
    some,     ///< and no more is there now
    full,     ///< more may be there
    nothing,
    ended,    ///< by the other end, or broken
  };
  /// Reads once. REQUIRES: `buffer` is empty.
  Read read(ReadBuffer& buffer);
  enum class Next : std::uint8_t { message, nothing, ended };
  /// The next message of what was read; head() and parts() have it until the next call. `nothing`:
  /// the buffer is empty.
  Next next(ReadBuffer& buffer);
  std::string_view head() const { return reader_.head(); }
  std::vector<Blob>& parts() { return reader_.parts(); }

  /// False when the connection has come to its end, and what came before can still be read.
  /// REQUIRES: ready()
  bool send(std::string_view head, std::span<const Blob> parts) {
    return writer_.send(fd_, head, parts) || end();
  }
  /// Asks for a sign of life; false as above.
  bool ping();
  /// Writes what waits; false as above.
  bool flush() { return writer_.flush(fd_) || end(); }
  /// Something waits until the socket takes more.
  bool blocked() const { return !writer_.empty(); }
  std::size_t waiting_messages() const { return writer_.messages(); }
  std::size_t waiting_bytes() const { return writer_.bytes(); }

 private:
  enum class Phase : std::uint8_t { greeting, introduction, ready };

  Heard hear_greeting(ReadBuffer& buffer);
  bool hear_command(std::string_view command);
  bool end();

  int fd_;
  Phase phase_ = Phase::greeting;
  std::string greeting_;  ///< the other end's, as far as it is there
  unsigned minor_ = 0;
  Ready peer_;
  MessageReader reader_;
  MessageWriter writer_;
};

}  // namespace callboard::zmtp
