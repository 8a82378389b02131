// Writes messages to the socket of one connection, at once as far as it takes them.
//
// What the socket does not take now waits here, in order; usually nothing does. Big parts are not
// copied, neither when they go at once nor when they wait.
// Thread safety: none.
#pragma once

#include "common/blob.hpp"

#include <cstddef>
#include <deque>
#include <span>
#include <string>
#include <string_view>

namespace callboard::zmtp {

class MessageWriter {
 public:
  /// Bytes that are whole frames already; they wait for flush().
  void put(std::string_view frames);
  /// False when the connection has come to its end.
  bool send(int fd, std::string_view head, std::span<const Blob> parts);
  /// Writes what waits. False when the connection has come to its end.
  bool flush(int fd);

  bool empty() const { return waiting_.empty(); }
  /// Of what waits.
  std::size_t messages() const { return messages_; }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Piece {
    std::string copied;
    Blob blob;               ///< instead of `copied`
    std::size_t ends = 0;    ///< how many messages end in it
    std::string_view view() const { return blob ? blob.view() : std::string_view(copied); }
  };

  bool send_at_once(int fd, std::string_view head, std::span<const Blob> parts,
                    std::size_t& written) const;
  void keep(std::string_view bytes, std::size_t& skip);
  void keep(const Blob& blob, std::size_t& skip);

  std::deque<Piece> waiting_;
  std::size_t first_written_ = 0;  ///< of the first of them
  std::size_t messages_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace callboard::zmtp
