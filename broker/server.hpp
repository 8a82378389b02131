// One broker as a running thing: the core, its store and its sockets in one loop.
//
// Each turn takes the frames that are there, in portions; for each it steps them all, makes one
// write to Redis, unless a commit is under way, and sends one message per peer and frame. It never
// waits for Redis. Frames are taken only once the store was read, so a client that comes early
// waits in its socket.
#pragma once

#include "broker/core/broker.hpp"
#include "broker/store/server_facts.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace callboard::broker {

/// What a broker tells once it serves.
struct BrokerReady {
  std::vector<std::string> endpoints;  ///< as bound, with the ports that were picked
  std::string event_endpoint;          ///< empty: none
};

struct BrokerServerOptions {
  /// Where clients and workers connect; port 0 of tcp:// picks a free one.
  std::vector<std::string> endpoints = {"tcp://127.0.0.1:7700"};
  /// How others reach these endpoints; empty: as bound, with this host's name for "any address".
  std::vector<std::string> advertise;
  std::string event_endpoint;  ///< of the PUB socket; empty: none
  std::string redis_url = "redis://127.0.0.1:6379";
  /// Other brokers share the shard: this one stands by while another serves, and stops when Redis
  /// does not confirm in time that the shard is still its own. All of them must be started so.
  bool standby = false;
  /// The broker serves only while Redis's fsync policy is at least this.
  RequireFsync require_fsync = RequireFsync::none;
  /// Name, shard, limits. Epoch, timeline, commit number and endpoints come from elsewhere.
  BrokerOptions broker;
  /// Called once, in the thread of run(), when frames are taken from then on.
  std::function<void(const BrokerReady&)> on_ready;
  /// The broker stops when this can be read (a signalfd, say); -1: none.
  int stop_fd = -1;
};

class BrokerServer {
 public:
  explicit BrokerServer(BrokerServerOptions options);
  ~BrokerServer();
  BrokerServer(const BrokerServer&) = delete;
  BrokerServer& operator=(const BrokerServer&) = delete;

  /// Serves until stop() (then 0), or until it cannot go on (then 1; failure() says why, and so
  /// does the log). Called once.
  int run();
  /// Ends run() soon. Safe in signal handlers and from any thread, also before run().
  void stop();
  const std::string& failure() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

/// Runs a broker as a program does: until SIGTERM or SIGINT. Returns the exit status, as run().
/// REQUIRES: called before the program starts threads of its own, which would get the signals.
int run_broker(const BrokerServerOptions& options);

}  // namespace callboard::broker
