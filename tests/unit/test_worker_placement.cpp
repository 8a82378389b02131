// Core lists, how they are shared between children, and binding.

#include "worker/placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <thread>

namespace callboard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(WorkerPlacement, ACoreListHoldsCoresAndRanges) {
  EXPECT_THAT(*parse_cores("3"), ElementsAre(3u));
  EXPECT_THAT(*parse_cores("0-3,8"), ElementsAre(0u, 1u, 2u, 3u, 8u));
  EXPECT_THAT(*parse_cores("8,0-1"), ElementsAre(0u, 1u, 8u));
}

TEST(WorkerPlacement, ACoreNamedTwiceCountsOnce) {
  EXPECT_THAT(*parse_cores("1,0-2,2"), ElementsAre(0u, 1u, 2u));
}

TEST(WorkerPlacement, AllMeansWhatThisProcessMayUse) {
  EXPECT_EQ(*parse_cores("all"), usable_cores());
  EXPECT_FALSE(usable_cores().empty());
}

TEST(WorkerPlacement, WhatIsNoCoreListIsNamedInTheError) {
  for (const char* text : {"", "a", "1-", "-1", "3-1", "1,,2", "1,", "0x1", "1 ", "1-2-3", "4096",
                           "99999999999999999999"}) {
    const Result<CoreSet> parsed = parse_cores(text);
    EXPECT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.code(), Errc::invalid_option) << text;
    EXPECT_THAT(parsed.text(), HasSubstr("is not a core")) << text;
  }
}

TEST(WorkerPlacement, ASetIsPrintedAsItIsWritten) {
  for (const char* text : {"0", "0-3,8", "1,3,5-7"}) EXPECT_EQ(to_string(*parse_cores(text)), text);
}

TEST(WorkerPlacement, CoresAreSplitEvenlyBetweenNeighbours) {
  const CoreSet cores = *parse_cores("0-4");
  EXPECT_THAT(split_cores(cores, 2), ElementsAre(ElementsAre(0u, 1u), ElementsAre(2u, 3u, 4u)));
  EXPECT_THAT(split_cores(cores, 1), ElementsAre(ElementsAre(0u, 1u, 2u, 3u, 4u)));
}

TEST(WorkerPlacement, MoreChildrenThanCoresShareThem) {
  EXPECT_THAT(split_cores(*parse_cores("4,6"), 3),
              ElementsAre(ElementsAre(4u), ElementsAre(6u), ElementsAre(4u)));
}

TEST(WorkerPlacement, WithoutCoresNobodyIsBound) {
  EXPECT_THAT(split_cores({}, 2), ElementsAre(IsEmpty(), IsEmpty()));
}

TEST(WorkerPlacement, ABoundProcessAndItsThreadsUseOnlyTheirCores) {
  const CoreSet one{usable_cores().back()};
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::string problem = bind_process(one);
    bool good = usable_cores() == one;
    std::thread([&] { good &= usable_cores() == one; }).join();
    // Some containers forbid asking for memory; the cores must be bound all the same.
    good &= problem.empty() || problem.find("memory") != std::string::npos;
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(WorkerPlacement, ACoreThatDoesNotExistIsAProblemInWords) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(bind_process({kCoreMax}).find("4095") != std::string::npos ? 0 : 1);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace callboard::worker
