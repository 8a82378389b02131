// What one connection knows of the shared memory of its two ends: whether each can read that of the
// other, and with that whether big parts may travel as references.
//
// Each end names a probe, a segment of its own, and says what it has read in the other's. An end
// that was told its own token knows that the other one reads its memory: same host, same folder,
// same user, nothing in between. The broker begins, after its welcome, so that no broker hears of
// it that does not know it. These frames are of the transport; no core sees them.
// Thread safety: none.
#pragma once

#include "common/messages.hpp"
#include "common/shared_memory.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::wire {

class SharedPeer {
 public:
  /// `populate`: what comes will be read in this process. `memory` outlives it.
  explicit SharedPeer(SharedMemory& memory, bool populate = true)
      : memory_(&memory), populate_(populate) {}
  ~SharedPeer() { forget(); }
  SharedPeer(const SharedPeer&) = delete;
  SharedPeer& operator=(const SharedPeer&) = delete;

  /// Whether the first message of a frame is of that type.
  static bool begins_with(std::string_view head, Type type);
  /// A frame that belongs here and not to the core.
  static bool is_ours(std::string_view head);

  /// The first word, of the broker's end. False when there is nothing to offer.
  bool offer(Frame& out);
  /// Hears the other end; true when `out` holds what to answer.
  bool on_frame(std::string_view head, Frame& out);
  /// A new connection: nothing is known of the other end.
  void forget();
  /// resolve() said false: this connection is at its end. After some times nothing is shared any
  /// more, so that what is told again comes as bytes.
  static constexpr unsigned kFailuresMax = 3;
  void failed();
  bool off() const { return off_; }

  /// What stands for the part on this connection, when it need not travel itself.
  std::optional<std::string> reference_to(const Blob& part);
  /// Puts references where parts need not travel themselves.
  void put_references(std::vector<Blob>& parts);
  /// Puts values where references came. A value that nobody holds any more becomes empty: the call
  /// has ended. False when one cannot be read: the connection is of no use as it is.
  bool resolve(std::vector<Blob>& parts);

 private:
  bool say(Frame& out);

  SharedMemory* memory_;
  bool populate_;
  bool off_ = false;
  unsigned failures_ = 0;
  bool reads_ours_ = false;
  std::string probe_;             ///< the other end's
  std::uint64_t found_ = 0;       ///< in it
  std::uint64_t found_told_ = 0;
};

}  // namespace callboard::wire
