// Memory of calls: slots that give their pages back, and calls that are found gone by their Refs.
#include "broker/core/call.hpp"
#include "broker/core/slots.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

namespace callboard::broker {
namespace {

constexpr std::size_t kSlotBytes = 64;
constexpr std::size_t kMany = 50'000;

TEST(BrokerSlots, NoTwoSlotsShareBytes) {
  Slots slots(kSlotBytes);
  std::set<std::uintptr_t> taken;
  for (std::size_t i = 0; i < kMany; ++i) {
    const auto at = reinterpret_cast<std::uintptr_t>(slots.take());
    EXPECT_EQ(at % 8, 0u);
    EXPECT_TRUE(taken.insert(at).second);
  }
  std::uintptr_t before = 0;
  for (const std::uintptr_t at : taken) {
    ASSERT_GE(at - before, kSlotBytes);
    before = at;
  }
}

TEST(BrokerSlots, WhatWasGivenBackIsTakenAgain) {
  Slots slots(kSlotBytes);
  void* const first = slots.take();
  void* const second = slots.take();
  slots.give(first);
  EXPECT_EQ(slots.take(), first);
  slots.give(second);
  slots.give(first);
  EXPECT_EQ(slots.take(), first);
  EXPECT_EQ(slots.take(), second);
}

TEST(BrokerSlots, PagesOfABurstGoBackToTheSystem) {
  Slots slots(kSlotBytes);
  std::vector<char*> taken;
  for (std::size_t i = 0; i < kMany; ++i) {
    taken.push_back(static_cast<char*>(slots.take()));
    std::memset(taken.back(), 'x', kSlotBytes);
  }
  for (char* slot : taken) slots.give(slot);
  std::size_t zeros = 0;
  for (const char* slot : taken) zeros += slot[kSlotBytes - 1] == 0 ? 1 : 0;
  EXPECT_GT(zeros, kMany / 2);  // a page that was given back reads as zeros
  for (std::size_t i = 0; i < kMany; ++i) slots.take();
  EXPECT_NE(slots.take(), nullptr);
}

TEST(BrokerSlots, EachVisitsWhatIsTaken) {
  Slots slots(kSlotBytes);
  std::set<void*> taken;
  for (std::size_t i = 0; i < kMany; ++i) taken.insert(slots.take());
  slots.each([&](char* slot) { taken.erase(slot); });
  EXPECT_TRUE(taken.empty());
}

TEST(BrokerSlots, ARefNoticesThatItsCallIsGone) {
  CallSlab slab;
  std::vector<CallSlab::Ref> refs;
  for (std::size_t i = 0; i < kMany; ++i) {
    Call& call = slab.make();
    slab.give_room(call, 1 + i % 300);
    std::memset(call.data, 0xff, call.data_bytes);
    refs.push_back(CallSlab::ref(call));
  }
  for (const CallSlab::Ref& ref : refs) ASSERT_NE(ref.get(), nullptr);
  for (const CallSlab::Ref& ref : refs) slab.free(*ref.get());
  EXPECT_EQ(slab.size(), 0u);
  for (const CallSlab::Ref& ref : refs) ASSERT_EQ(ref.get(), nullptr);
  // Others live at the same places since.
  for (std::size_t i = 0; i < kMany; ++i) slab.give_room(slab.make(), 16);
  for (const CallSlab::Ref& ref : refs) ASSERT_EQ(ref.get(), nullptr);
}

TEST(BrokerSlots, ALargeRoomIsGivenBackWithItsCall) {
  CallSlab slab;
  Call& call = slab.make();
  slab.give_room(call, 100'000);
  std::memset(call.data, 'x', 100'000);
  slab.free(call);
  Call& next = slab.make();
  EXPECT_EQ(next.data_bytes, 0u);
  slab.give_room(next, 5000);  // of a call that is there when the slab goes
}

}  // namespace
}  // namespace callboard::broker
