// A broker process: the real core, and around it what broker/server and broker/store do: frames in
// and out, one commit in flight, the fence token, and the fate of a commit whose answer was lost.
//
// Thread safety: none.
#pragma once

#include "broker/core/broker.hpp"
#include "tests/sim/context.hpp"
#include "tests/sim/observer.hpp"
#include "tests/sim/process.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace callboard::sim {

/// How slow the store is in one run.
struct StoreShape {
  std::int64_t latency_us_min = 30;
  std::int64_t latency_us_max = 300;
};

/// How one broker run is set up.
struct BrokerSetup {
  std::uint64_t epoch = 1;
  bool epochs_in_store = false;  ///< the store may go back, and the number of the epoch with it
  StoreShape store;
  std::int64_t session_grace_ms = 30'000;
  std::int64_t result_ttl_ms = 60'000;
  std::int64_t dedupe_ttl_ms = 60'000;
  std::uint64_t memory_max = 0;
};

class BrokerProcess {
 public:
  BrokerProcess(Context& context, Observer& observer, const BrokerSetup& setup);
  ~BrokerProcess();

  Process& process() { return process_; }

  // --- faults ---
  /// The connection to the store breaks for this long; what is on its way may still arrive.
  void lose_store(std::int64_t away_us);
  /// The store loses its power: what was not synced is gone, and so is the connection.
  void cut_power(std::int64_t away_us);
  /// The store is replaced by an older copy of itself.
  void take_store_back(std::int64_t away_us);
  void stall_store(std::int64_t for_us);
  void fill_store(std::int64_t for_us);
  /// The store is back at once.
  void heal();
  /// kill -9.
  void die();

 private:
  struct Commit {
    broker::StoreBatch batch;
    std::uint64_t number = 0;
  };
  struct Arrived {
    PeerId peer;
    DealerId dealer;
    wire::Frame frame;
  };
  enum class StoreState : std::uint8_t { connecting, up, down };

  void connect_store();
  bool store_went_back() const;
  void begin_again(broker::Witness seen);
  void load();
  void on_frame(PeerId peer, DealerId dealer, wire::Frame frame);
  void turn_soon();
  void turn();
  void step(const broker::Event& event);
  void act();
  void arm();
  void commit();
  void send_commit();
  void send_read(const broker::StoreRead& read);
  void on_read(std::uint64_t connection, const broker::CallsRead& read);
  void on_answer(std::uint64_t connection, std::uint64_t number);
  static void note_lengths(Context& context, const broker::StoreBatch& batch);
  std::int64_t store_latency();

  Context& context_;
  Observer& observer_;
  Process process_;
  Random random_;
  BrokerSetup setup_;
  std::unique_ptr<broker::Broker> broker_;
  broker::Effects effects_;
  std::deque<Arrived> inbox_;
  std::deque<broker::Event> events_;   ///< what else happened since the last turn
  bool turning_ = false;
  bool loaded_ = false;
  std::int64_t armed_us_ = kNever;     ///< virtual time of the earliest timer that is set

  StoreState store_ = StoreState::connecting;
  std::uint64_t connection_ = 0;       ///< counts connections to the store
  std::uint64_t token_ = 0;
  StoreModel::Numbers run_;            ///< of this run; commit_no: the last that was confirmed
  std::optional<broker::Witness> witness_;  ///< of what the store has forgotten
  bool listening_ = false;
  std::int64_t store_back_us_ = 0;
  std::int64_t store_stalled_until_us_ = 0;
  std::shared_ptr<Commit> in_flight_;
  std::vector<broker::StoreRead> reads_;  ///< not answered yet
  bool full_ = false;
};

}  // namespace callboard::sim
