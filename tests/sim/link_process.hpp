// A process with a connection to the broker: the real Link, and around it the loop that a
// client::Connection runs in its thread.
//
// Thread safety: none.
#pragma once

#include "client/core/session.hpp"
#include "common/link.hpp"
#include "tests/sim/context.hpp"
#include "tests/sim/observer.hpp"
#include "tests/sim/process.hpp"

#include <deque>
#include <string>

namespace callboard::sim {

/// A session for a process of this name.
client::SessionOptions session_options(Random& random, const std::string& name);

class LinkProcess {
 public:
  LinkProcess(Context& context, Observer& observer, std::string name);
  virtual ~LinkProcess() = default;
  LinkProcess(const LinkProcess&) = delete;
  LinkProcess& operator=(const LinkProcess&) = delete;

  Process& process() { return process_; }
  const Process& process() const { return process_; }
  DealerId dealer() const { return dealer_; }
  wire::Link& link() { return link_; }

  /// Another turn of its loop, soon.
  void turn_soon();
  /// kill -9: its connection and everything unsent are gone.
  virtual void die();
  /// Says goodbye and ends.
  void close();

 protected:
  /// Adds its members, then calls this.
  void start();
  /// Called in each turn after the frames and before the members are asked to write.
  virtual void before_tick() {}

  Context& context_;
  Observer& observer_;
  Process process_;
  Random random_;
  wire::Link link_;
  wire::LinkOut out_;

 private:
  void turn();
  void send();
  void arm();

  DealerId dealer_{};
  std::deque<wire::Frame> inbox_;
  bool turning_ = false;
  bool closed_ = false;
  std::int64_t armed_us_ = kNever;
};

}  // namespace callboard::sim
