// One filled-in example of every message, shared by the tests of the wire format.
//
// Every field has a value that differs from its default and from its neighbours', so that a field
// that is forgotten or swapped shows.
#pragma once

#include "common/messages.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace callboard::wire {

struct Sample {
  std::string name;                                 ///< the message's name in docs/protocol.md
  Type type{};
  std::function<void(FrameWriter&)> write;
  /// Reads one message after its type and writes what was read; false when it could not be read.
  std::function<bool(FrameReader&, std::uint32_t, FrameWriter&)> copy;
};

/// The epoch in the header of all samples but hello, whose sender does not know it.
inline constexpr std::uint64_t kSampleEpoch = 7;

const std::vector<Sample>& samples();
const Sample& sample(const std::string& name);
Frame frame_of(const Sample& sample);

/// The head of a frame after its header, as text: MessagePack printed by msgpack-c.
std::string text_of(const Frame& frame);

/// Reads every message of a frame, whatever it is, and writes what was read. False when the frame
/// is bad: header, type or any message.
bool copy_frame(const FrameView& frame, Frame& copy);

/// The smallest value that is sent as a part of its own.
Body big_body(char fill);

}  // namespace callboard::wire
