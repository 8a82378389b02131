// Messages of several parts through a socket of ZeroMQ's library.
#pragma once

#include <gtest/gtest.h>
#include <zmq.h>

#include <string>
#include <vector>

namespace callboard {

inline void send_parts(void* socket, const std::vector<std::string>& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const int flags = i + 1 < parts.size() ? ZMQ_SNDMORE : 0;
    EXPECT_GE(zmq_send(socket, parts[i].data(), parts[i].size(), flags), 0);
  }
}

/// The parts of the next message; none when none comes. `flags`: as zmq_msg_recv() has them.
inline std::vector<std::string> receive_parts(void* socket, int flags) {
  std::vector<std::string> parts;
  zmq_msg_t message;
  zmq_msg_init(&message);
  do {  // each receive lets go of the part before
    if (zmq_msg_recv(&message, socket, flags) < 0) break;
    parts.emplace_back(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
  } while (zmq_msg_more(&message) != 0);
  zmq_msg_close(&message);
  return parts;
}

}  // namespace callboard
