#include "broker/core/event.hpp"
#include "common/limits.hpp"
#include "common/messages.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {
namespace {

constexpr PeerId kClient{1};
constexpr PeerId kWorker{2};
/// Shares its place among those for whom messages gather with the client.
constexpr PeerId kOther{9};

void write_window(Effects& effects, PeerId peer, std::uint32_t calls) {
  wire::FrameWriter out(effects.frame_for(peer), 1);
  write(out, wire::Window{1, 0, calls});
}

void gather_result(Effects& effects, PeerId peer, std::uint64_t seq, std::string_view value) {
  Effects::Gathered* gathered = effects.gathered_for(peer);
  if (gathered == nullptr) {
    const wire::FrameWriter begun(effects.frame_for(peer), 1);
    gathered = effects.gather_for(peer);
  }
  wire::CallResult result;
  result.seq = seq;
  result.value.bytes = value;
  gathered->placed(put(gathered->place(), result));
}

/// What the frames for the peer say, in order: the numbers of results, and windows below zero.
std::vector<std::int64_t> told(const Effects& effects, PeerId peer) {
  std::vector<std::int64_t> all;
  for (const auto& [to, frames] : effects.frames) {
    if (to != peer) continue;
    for (const wire::Frame& frame : frames) {
      wire::FrameReader in(wire::FrameView{frame.head, frame.parts});
      std::uint64_t version = 0;
      std::uint64_t epoch = 0;
      EXPECT_TRUE(in.header(version, epoch));
      while (!in.at_end()) {
        std::uint64_t type = 0;
        std::uint32_t fields = 0;
        wire::CallResult result;
        wire::Window window;
        if (!in.message(type, fields)) break;
        if (static_cast<wire::Type>(type) == wire::Type::result) {
          EXPECT_TRUE(read(in, fields, result));
          all.push_back(static_cast<std::int64_t>(result.seq));
        } else {
          EXPECT_TRUE(read(in, fields, window));
          all.push_back(-static_cast<std::int64_t>(window.calls));
        }
      }
      EXPECT_TRUE(in.ok());
    }
  }
  return all;
}

TEST(BrokerEffects, WhatGathersKeepsItsPlaceAmongOtherMessages) {
  Effects effects;
  write_window(effects, kClient, 1);
  gather_result(effects, kClient, 2, "a");
  gather_result(effects, kClient, 3, "b");
  write_window(effects, kClient, 4);
  gather_result(effects, kClient, 5, "c");
  effects.append_gathered();
  EXPECT_EQ(told(effects, kClient), (std::vector<std::int64_t>{-1, 2, 3, -4, 5}));
}

TEST(BrokerEffects, MessagesForSeveralPeersGatherSideBySide) {
  Effects effects;
  for (std::uint64_t seq = 1; seq <= 100; ++seq) {
    gather_result(effects, kClient, seq, "value");
    gather_result(effects, kWorker, seq + 1000, "value");
    if (seq % 10 == 0) gather_result(effects, kOther, seq + 2000, "value");
  }
  effects.append_gathered();
  std::vector<std::int64_t> of_client, of_worker, of_other;
  for (std::int64_t seq = 1; seq <= 100; ++seq) {
    of_client.push_back(seq);
    of_worker.push_back(seq + 1000);
    if (seq % 10 == 0) of_other.push_back(seq + 2000);
  }
  EXPECT_EQ(told(effects, kClient), of_client);
  EXPECT_EQ(told(effects, kWorker), of_worker);
  EXPECT_EQ(told(effects, kOther), of_other);
}

TEST(BrokerEffects, AFrameIsFullThatGathered) {
  Effects effects;
  const std::string value(1000, 'x');
  const std::size_t enough = limits::kFrameBytesTarget / value.size() + 10;
  for (std::uint64_t seq = 1; seq <= enough; ++seq) gather_result(effects, kClient, seq, value);
  effects.append_gathered();
  ASSERT_EQ(effects.frames.size(), 1u);
  const std::vector<wire::Frame>& frames = effects.frames[0].second;
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_GE(frames[0].head.size(), limits::kFrameBytesTarget);
  EXPECT_LT(frames[0].head.size(), limits::kFrameBytesTarget + 2 * value.size());
  EXPECT_EQ(told(effects, kClient).size(), enough);
}

TEST(BrokerEffects, NothingOfAForgottenPeerOrAnEarlierTurnIsLeft) {
  Effects effects;
  gather_result(effects, kClient, 1, "a");
  gather_result(effects, kWorker, 2, "b");
  effects.forget(kClient);
  effects.append_gathered();
  EXPECT_TRUE(effects.frames[0].second[0].empty());
  EXPECT_EQ(told(effects, kWorker), (std::vector<std::int64_t>{2}));
  gather_result(effects, kWorker, 3, "c");
  effects.clear();
  gather_result(effects, kWorker, 4, "d");
  effects.append_gathered();
  EXPECT_EQ(told(effects, kWorker), (std::vector<std::int64_t>{4}));
}

}  // namespace
}  // namespace callboard::broker
