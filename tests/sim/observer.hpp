// Looks at the frames on the wire: counts what kinds of messages occur and notes what the two ends
// would know from them, without asking either end.
//
// Thread safety: none.
#pragma once

#include "common/frame.hpp"
#include "common/messages.hpp"
#include "tests/sim/context.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::sim {

/// A frame as text: "submit[1, 0, 2, bin(12), nil] taken[[[1, 3]]]".
std::string describe(const wire::Frame& frame);

class Observer {
 public:
  explicit Observer(Context& context) : context_(context) {}

  /// Who speaks through a DEALER.
  void introduce(DealerId dealer, const Process& process);

  /// A frame is being sent by a process other than the broker.
  void from_process(DealerId dealer, const wire::Frame& frame);
  /// The broker reads it; it came over this connection.
  void at_broker(PeerId peer, DealerId dealer, const wire::Frame& frame);
  /// A frame leaves the broker.
  void from_broker(PeerId peer, const wire::Frame& frame);
  /// The process reads it.
  void at_process(DealerId dealer, const wire::Frame& frame, const Process& process);
  /// Adds what was counted to the coverage.
  void flush_counts();

 private:
  struct Speaker {
    std::string name;
    ProcessId process{};
    SessionId session{};                 ///< of its last hello
    std::uint64_t accepted_through = 0;
    std::set<std::uint64_t> not_accepted;  ///< numbers that were refused or parked
  };

  void on_hello(Speaker& speaker, wire::FrameReader& in, std::uint32_t fields);
  void on_submit(const Speaker& speaker, wire::FrameReader& in, std::uint32_t fields);
  void note_deadline(const Speaker& speaker, CallId call, std::string_view options);
  void on_result(const Speaker& speaker, wire::FrameReader& in, std::uint32_t fields);
  void on_run_sent(const Speaker& speaker, wire::FrameReader& in, std::uint32_t fields);
  void on_run(const Speaker& speaker, wire::FrameReader& in, std::uint32_t fields,
              const Process& process);
  void note_full(const Speaker& speaker, const wire::Refused& refused);
  void accept_through(Speaker& speaker, std::uint64_t through);

  Context& context_;
  std::array<std::uint64_t, 256> counts_{};  ///< messages that arrived, by type
  std::map<DealerId, Speaker> speakers_;
  std::map<PeerId, DealerId> peers_;
  std::set<CallId> arrived_;
  std::set<std::pair<CallId, std::uint32_t>> runs_seen_;
};

}  // namespace callboard::sim
