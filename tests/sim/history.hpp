// What was observed from outside, in order: the only thing that the checkers see beside the specs.
//
// Thread safety: none.
#pragma once

#include "tests/sim/spec.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace callboard::sim {

enum class What : std::uint8_t {
  // at a client
  submitted,        ///< the application asked for `call`
  renumbered,       ///< `call` is its new id; it has not left before
  accepted,         ///< the broker's word for it arrived
  refused,          ///< `code`; the client saw it. value: 1 when it refused the call itself
  told_full,        ///< with a refusal: so are all of its queue, for `value` microseconds
  resumed,          ///< it said that it saw a refusal; attempt: client, value: target << 32 | calls
  resolved,         ///< the application got `code` and, when ok, execution number `value`
  released,         ///< the application dropped its future
  cancel_asked,     ///< value: force
  cancel_answered,  ///< value: CancelAnswer
  kill_asked,       ///< of `actor`
  session_refused,  ///< value: client; the broker no longer knew its session, it has another now
  client_left,      ///< value: client; attempt: 1 when it is a worker's methods that died with it
  // at a worker
  constructing,  ///< incarnation of `actor` begins its constructor
  constructed,   ///< `code`
  destroyed,     ///< the incarnation is gone, in an orderly way
  run_arrived,   ///< value: when its deadline is, in virtual time
  begun,
  spliced,   ///< the result of `call` arrived as an argument; value: execution number
  ended,     ///< `code`, value: execution number
  returned,  ///< this attempt will never begin
  worker_born,
  worker_died,  ///< killed: what it held is gone
  ticked,       ///< a schedule's call began; text: schedule, value: when it was due, in ms
  charged,      ///< `call` is named for the end of its process, or was the only one begun in it
  // at the broker
  run_left,     ///< `attempt` of `call` was sent to a worker
  deadline_came,  ///< with the submit of `call`; value: when it is, in virtual time
  told_result,  ///< a result left the broker; `code`, value: digest of status and bytes
  broker_born,
  broker_died,
  arrived,       ///< the submit of `call` came to the broker for the first time
  committed,     ///< value: commit number
  queue_length,  ///< in the store, after a commit that changed it; text: queue, value: calls
  // around them
  fault,   ///< text
  healed,  ///< no fault from here on
};

/// One observation. Fields that its kind does not mention are unset.
struct Record {
  std::int64_t at_us = 0;
  What what = What::fault;
  ProcessId process{};
  CallId call;
  std::uint32_t attempt = 0;
  ActorId actor;
  std::uint64_t incarnation = 0;
  Errc code = Errc::ok;
  std::uint64_t value = 0;
  std::string text;
};

/// The record in one line, without its process.
std::string describe(const Record& record);

/// Takes records, numbers their digest, keeps the last ones as text when asked.
class History {
 public:
  using Listener = std::function<void(const Record&)>;

  void listen(Listener listener) { listeners_.push_back(std::move(listener)); }
  void add(Record record);

  /// The same for the same history, record by record.
  std::uint64_t digest() const { return digest_; }
  std::uint64_t size() const { return size_; }

 private:
  void mix(std::uint64_t word);

  std::vector<Listener> listeners_;
  std::uint64_t digest_ = 0xCBF2'9CE4'8422'2325ull;
  std::uint64_t size_ = 0;
};

}  // namespace callboard::sim
