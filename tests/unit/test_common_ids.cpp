#include <callboard/ids.hpp>

#include <gtest/gtest.h>

#include <unordered_set>

namespace callboard {
namespace {

TEST(Ids, AnIdIsPrintedAsThirtyTwoDigitsAndReadBack) {
  const CallId id{SessionId{0x00ab'0000'0000'0001}, 0x1f};
  EXPECT_EQ(to_string(id), "00ab000000000001000000000000001f");
  EXPECT_EQ(call_id_from(to_string(id)), id);
  const CallId largest{SessionId{UINT64_MAX}, UINT64_MAX};
  EXPECT_EQ(call_id_from(to_string(largest)), largest);
  EXPECT_EQ(to_string(ActorId{SessionId{2}, 3}), "00000000000000020000000000000003");
}

TEST(Ids, TextThatIsNoIdGivesNoCall) {
  const std::string good = to_string(CallId{SessionId{7}, 9});
  for (const std::string& text :
       {std::string(), good.substr(1), good + "0", "x" + good.substr(1), "-" + good.substr(1),
        good.substr(0, 31) + " ", std::string("0x") + good.substr(2), std::string(32, ' ')}) {
    EXPECT_FALSE(call_id_from(text)) << text;
  }
}

TEST(Ids, CapitalDigitsAreUnderstood) {
  EXPECT_EQ(call_id_from("00000000000000AB00000000000000CD"), (CallId{SessionId{0xab}, 0xcd}));
}

TEST(Ids, NeighbouringCallsSpreadOverAHashTable) {
  std::unordered_set<std::size_t> hashes;
  for (std::uint64_t seq = 1; seq <= 1000; ++seq) {
    hashes.insert(std::hash<CallId>{}(CallId{SessionId{5}, seq}) % 4096);
  }
  EXPECT_GT(hashes.size(), 700u);
}

}  // namespace
}  // namespace callboard
