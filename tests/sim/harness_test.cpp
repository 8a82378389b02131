// The harness itself: network, store, schedule, observer and coverage behave as they say. The
// checkers have tests of their own (checkers_test.cpp).
#include "tests/sim/coverage.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/observer.hpp"
#include "tests/sim/schedule.hpp"
#include "tests/sim/store_model.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace callboard::sim {
namespace {

TEST(SimulatedStore, RefusesACommitUnderAnOlderToken) {
  StoreModel store;
  broker::StoreBatch batch;
  batch.set(batch.key(broker::KeyKind::hash, "h"), "f", "v");
  store.set_token(2);
  EXPECT_EQ(store.commit(0, 1, 1, batch), StoreModel::Answer::fenced);
  EXPECT_TRUE(store.keys().empty());
  EXPECT_EQ(store.commit(0, 2, 1, batch), StoreModel::Answer::applied);
  EXPECT_EQ(store.length("h"), 1u);
}

TEST(SimulatedStore, ForgetsWhatWasNotSyncedWhenPowerIsLost) {
  StoreModel store;
  store.keep_undo(true);
  store.set_token(1);
  broker::StoreBatch first, second;
  first.set(first.key(broker::KeyKind::hash, "h"), "a", "1");
  second.set(second.key(broker::KeyKind::hash, "h"), "b", "2");
  second.drop(second.key(broker::KeyKind::hash, "other"));
  store.commit(0, 1, 1, first);
  store.sync(store.commit_no());
  store.commit(0, 1, 2, second);
  EXPECT_EQ(store.lose_power(), 1u);
  EXPECT_EQ(store.commit_no(), 1u);
  EXPECT_EQ(store.length("h"), 1u);
}

TEST(SimulatedStore, ForgetsAKeyWhenItsTimeHasCome) {
  StoreModel store;
  store.set_token(1);
  broker::StoreBatch batch;
  const auto key = batch.key(broker::KeyKind::hash, "h");
  batch.set(key, "f", "v");
  batch.expire(key, 10);
  store.commit(0, 1, 1, batch);
  store.expire(9'999);
  EXPECT_EQ(store.length("h"), 1u);
  store.expire(10'000);
  EXPECT_EQ(store.length("h"), 0u);
}

TEST(SimulatedSchedule, DoesWhatIsDueTogetherInTheOrderOfPlanning) {
  Schedule schedule;
  std::vector<int> done;
  schedule.at(20, [&] { done.push_back(3); });
  schedule.at(10, [&] { done.push_back(1); });
  schedule.at(10, [&] { done.push_back(2); });
  while (!schedule.empty()) schedule.run_one();
  EXPECT_EQ(done, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(schedule.now(), 20);
}

/// A ROUTER and one DEALER, and what each of them got.
class SimulatedNetwork : public ::testing::Test {
 protected:
  void SetUp() override {
    network_.router_open([this](PeerId peer, DealerId, wire::Frame frame) {
      peers_.push_back(peer);
      at_router_.push_back(frame.head);
    });
    dealer_ = network_.add_dealer([this](wire::Frame frame) { at_dealer_.push_back(frame.head); });
    run_for(100'000);
  }
  void send(const std::string& head) { network_.dealer_send(dealer_, wire::Frame{head, {}}); }
  void run_for(std::int64_t us) {
    const std::int64_t until = schedule_.now() + us;
    schedule_.at(until, [] {});
    while (!schedule_.empty() && schedule_.next_due() <= until) schedule_.run_one();
  }

  Schedule schedule_;
  Network network_{schedule_, Random(1), NetworkShape{}};
  DealerId dealer_{};
  std::vector<PeerId> peers_;
  std::vector<std::string> at_router_, at_dealer_;
};

TEST_F(SimulatedNetwork, KeepsTheOrderOfOneConnection) {
  std::vector<std::string> sent;
  for (int i = 0; i < 500; ++i) {
    sent.push_back(std::to_string(i));
    send(sent.back());
    run_for(10);
  }
  run_for(1'000'000);
  EXPECT_EQ(at_router_, sent);
}

TEST_F(SimulatedNetwork, ACutLosesWhatWasInFlightAndMakesAnotherPeer) {
  send("before");
  run_for(100'000);
  const PeerId before = peers_.back();
  network_.router_send(before, wire::Frame{"lost", {}});
  network_.cut(dealer_, 1'000);
  run_for(100'000);
  send("after");
  run_for(100'000);
  EXPECT_NE(peers_.back(), before);
  EXPECT_TRUE(at_dealer_.empty());
  EXPECT_GT(network_.counts().frames_lost, 0u);
}

TEST_F(SimulatedNetwork, WhatWasSentWhileAwayArrivesFirst) {
  network_.cut(dealer_, 50'000);
  send("unsent");
  run_for(500'000);
  send("later");
  run_for(100'000);
  EXPECT_EQ(at_router_, (std::vector<std::string>{"unsent", "later"}));
}

TEST_F(SimulatedNetwork, ABlockedDirectionHoldsFramesBackUntilItHeals) {
  network_.block(dealer_, Direction::to_broker, 10'000'000);
  send("held");
  run_for(1'000'000);
  EXPECT_TRUE(at_router_.empty());
  network_.heal();
  run_for(100'000);
  EXPECT_EQ(at_router_.size(), 1u);
}

/// A client and the broker, as the observer hears them.
class Observed : public ::testing::Test {
 protected:
  Observed() {
    context_.history.listen([this](const Record& record) {
      if (record.what == What::accepted) accepted_.push_back(record.call.seq);
    });
    observer_.introduce(kDealer, client_);
  }
  template <class Message>
  static wire::Frame frame(const Message& message) {
    wire::Frame frame;
    wire::FrameWriter out(frame, 1);
    wire::write(out, message);
    return frame;
  }
  template <class Message>
  void client_says(const Message& message) {
    observer_.at_broker(kPeer, kDealer, frame(message));
  }
  template <class Message>
  void broker_says(const Message& message) {
    observer_.at_process(kDealer, frame(message), client_);
  }

  static constexpr DealerId kDealer{1};
  static constexpr PeerId kPeer{1};
  Context context_{1, NetworkShape{}};
  Process client_{context_.schedule, ProcessId{1}, "client", ClockOffsets{}};
  Observer observer_{context_};
  std::vector<std::uint64_t> accepted_;
};

TEST_F(Observed, AWelcomeAcknowledgesNothingThatHasCome) {
  wire::Hello hello;
  hello.session = 9;
  client_says(hello);
  wire::Submit submit;
  submit.seq = 1;
  client_says(submit);
  submit.seq = 2;
  client_says(submit);
  wire::Welcome welcome;
  welcome.accepted_through = 2;
  welcome.refused = {1};
  broker_says(welcome);
  EXPECT_TRUE(accepted_.empty());
  broker_says(wire::Accepted{2, {}, 1});
  EXPECT_EQ(accepted_, std::vector<std::uint64_t>{2});
}

TEST(SimulatedCoverage, NamesWhatNeverOccurred) {
  Coverage coverage;
  coverage.require("a");
  coverage.require("b");
  coverage.hit("b");
  EXPECT_EQ(coverage.missing(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace callboard::sim
