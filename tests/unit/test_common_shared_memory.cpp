#include "common/clock.hpp"
#include "common/limits.hpp"
#include "tests/unit/shared_memory_fixture.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace callboard {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A process that does something, says so, and then waits to be killed.
class Child {
 public:
  explicit Child(const std::function<void()>& work) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      work();
      (void)!::write(ready[1], "x", 1);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char done = 0;
    EXPECT_EQ(::read(ready[0], &done, 1), 1);
    ::close(ready[0]);
  }
  ~Child() { kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
};

/// Gives the reference to a value from one process to another that is not related to it.
struct Letter {
  SharedReference reference;
  char segment[100] = {};

  void write(int fd, const SharedReference& from) {
    reference = from;
    from.segment.copy(segment, sizeof segment - 1);
    reference.segment.clear();
    const std::uint64_t numbers[] = {from.block, from.generation, from.offset, from.bytes};
    EXPECT_EQ(::write(fd, segment, sizeof segment), static_cast<ssize_t>(sizeof segment));
    EXPECT_EQ(::write(fd, numbers, sizeof numbers), static_cast<ssize_t>(sizeof numbers));
  }
  static SharedReference read(int fd) {
    char segment[100];
    std::uint64_t numbers[4];
    EXPECT_EQ(::read(fd, segment, sizeof segment), static_cast<ssize_t>(sizeof segment));
    EXPECT_EQ(::read(fd, numbers, sizeof numbers), static_cast<ssize_t>(sizeof numbers));
    return {segment, static_cast<std::uint32_t>(numbers[0]), numbers[1], numbers[2], numbers[3]};
  }
};

// --- values -------------------------------------------------------------------------------------

TEST_F(SharedMemoryTest, AValueIsReadInPlaceByAnother) {
  const auto giver = memory();
  const auto taker = memory();
  const Blob given = giver->share(value('a'));
  ASSERT_TRUE(given);
  const auto reference = giver->find(given.view());
  ASSERT_TRUE(reference);
  Blob taken;
  ASSERT_EQ(taker->open(*reference, true, taken), SharedAccess::ok);
  EXPECT_EQ(taken.view(), value('a'));
  EXPECT_NE(taken.view().data(), given.view().data());
  EXPECT_TRUE(taker->find(taken.view())) << "whoever holds it may pass it on";
}

TEST_F(SharedMemoryTest, PiecesLieOneAfterTheOther) {
  const auto giver = memory();
  const std::string big = value('b');
  const std::string_view pieces[] = {"head", big, "tail"};
  const Blob given = giver->share(pieces);
  ASSERT_TRUE(given);
  EXPECT_EQ(given.view(), "head" + big + "tail");
}

TEST_F(SharedMemoryTest, APartOfAValueCanBeReferredTo) {
  const auto giver = memory();
  const auto taker = memory();
  const Blob given = giver->share("head" + value('c'));
  const auto reference = giver->find(given.view().substr(4, 50'000));
  ASSERT_TRUE(reference);
  Blob taken;
  ASSERT_EQ(taker->open(*reference, true, taken), SharedAccess::ok);
  EXPECT_EQ(taken.view(), value('c', 50'000));
}

TEST_F(SharedMemoryTest, ValuesOfNoUseToOthersAreNotShared) {
  const auto giver = memory();
  EXPECT_FALSE(giver->share(value('d', limits::kSharedBytesMin - 1)));
  EXPECT_TRUE(giver->share(value('d', limits::kSharedBytesMin)));
  giver->remove_reader();
  EXPECT_FALSE(giver->share(value('d'))) << "nobody could read it";
  const Blob kept = giver->share_or_keep(value('d'));
  EXPECT_EQ(kept.view(), value('d'));
  EXPECT_FALSE(giver->find(kept.view()));
}

TEST_F(SharedMemoryTest, ABlockThatWasGivenOutAgainIsNotReadAsWhatItWas) {
  const auto giver = memory();
  const auto taker = memory();
  Blob given = giver->share(value('e'));
  const auto reference = giver->find(given.view());
  given = Blob();
  Blob taken;
  EXPECT_EQ(taker->open(*reference, true, taken), SharedAccess::gone);
  // Every block is given out again, that one among them.
  std::vector<Blob> others;
  for (int i = 0; i < 100; ++i) others.push_back(giver->share(value('f')));
  EXPECT_EQ(taker->open(*reference, true, taken), SharedAccess::gone);
  EXPECT_FALSE(taken);
}

TEST_F(SharedMemoryTest, ABlockStaysAsItIsWhileAnyoneHoldsIt) {
  const auto giver = memory();
  const auto taker = memory();
  Blob given = giver->share(value('g'));
  Blob taken;
  ASSERT_EQ(taker->open(*giver->find(given.view()), true, taken), SharedAccess::ok);
  given = Blob();
  std::vector<Blob> others;
  while (Blob other = giver->share(value('h'))) others.push_back(other);
  EXPECT_EQ(taken.view(), value('g'));
  const std::size_t before = others.size();
  taken = Blob();
  others.push_back(giver->share(value('h')));
  EXPECT_TRUE(others.back()) << "the block is free now";
  EXPECT_GT(before, 0u);
}

TEST_F(SharedMemoryTest, ReferencesThatMakeNoSenseAreRefused) {
  const auto giver = memory();
  const auto taker = memory();
  const Blob given = giver->share(value('i'));
  const SharedReference good = *giver->find(given.view());
  Blob taken;
  SharedReference bad = good;
  bad.block = 1000;
  EXPECT_EQ(taker->open(bad, true, taken), SharedAccess::unreadable);
  bad = good;
  bad.bytes = UINT64_MAX;
  EXPECT_EQ(taker->open(bad, true, taken), SharedAccess::unreadable);
  bad = good;
  bad.offset = UINT64_MAX - 10;
  EXPECT_EQ(taker->open(bad, true, taken), SharedAccess::unreadable);
  bad = good;
  bad.segment = "../" + good.segment;
  EXPECT_EQ(taker->open(bad, true, taken), SharedAccess::unreadable);
  bad.segment = "callboard-shm-1-1-1";
  EXPECT_EQ(taker->open(bad, true, taken), SharedAccess::unreadable);
  bad = good;
  ++bad.generation;
  EXPECT_EQ(taker->open(bad, true, taken), SharedAccess::gone);
}

TEST_F(SharedMemoryTest, AFileThatIsNoSegmentIsNotRead) {
  const auto taker = memory();
  Blob taken;
  const std::string name = "callboard-shm-x";
  std::FILE* file = std::fopen((folder_ + "/" + name).c_str(), "w");
  ASSERT_NE(file, nullptr);
  const std::string bytes = value('j', 8192);
  std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
  EXPECT_EQ(taker->open({name, 0, 1, 0, 100}, true, taken), SharedAccess::unreadable);
  EXPECT_EQ(taker->read_probe(name), 0u);
}

// --- bounds -------------------------------------------------------------------------------------

TEST_F(SharedMemoryTest, ThePoolNeverTakesMoreThanItMay) {
  const auto giver = memory();
  std::vector<Blob> given;
  while (Blob one = giver->share(value('k'))) given.push_back(one);
  EXPECT_LE(giver->pool_bytes(), kPoolBytes);
  EXPECT_GT(giver->pool_bytes(), kPoolBytes / 2);
  EXPECT_FALSE(giver->share(value('l', kPoolBytes))) << "larger than all of it";
  const Blob kept = giver->share_or_keep(value('m'));
  EXPECT_EQ(kept.view(), value('m')) << "a full pool is no reason to fail";
  given.clear();
  EXPECT_TRUE(giver->share(value('n')));
}

TEST_F(SharedMemoryTest, SegmentsThatNobodyUsesMakeRoomForOtherSizes) {
  const auto giver = memory();
  std::vector<Blob> given;
  while (Blob one = giver->share(value('o'))) given.push_back(one);
  EXPECT_FALSE(giver->share(value('p', 4u << 20)));
  given.clear();
  EXPECT_TRUE(giver->share(value('p', 4u << 20)));
  EXPECT_LE(giver->pool_bytes(), kPoolBytes);
}

TEST_F(SharedMemoryTest, SegmentsThatWereIdleForLongAreGivenBack) {
  const auto giver = memory();
  const auto taker = memory();
  Blob given = giver->share(value('q'));
  Blob taken;
  ASSERT_EQ(taker->open(*giver->find(given.view()), true, taken), SharedAccess::ok);
  Instant later = clock_now();
  later.mono_us += 100'000'000;
  giver->tidy(later);
  EXPECT_GT(giver->pool_bytes(), 0u) << "its blocks are held";
  given = Blob();
  later.mono_us += 100'000'000;
  giver->tidy(later);
  EXPECT_GT(giver->pool_bytes(), 0u) << "by another";
  taken = Blob();
  giver->tidy(later);
  EXPECT_GT(giver->pool_bytes(), 0u) << "it was tidied a moment ago";
  later.mono_us += 100'000'000;
  giver->tidy(later);
  EXPECT_EQ(giver->pool_bytes(), 0u);
  EXPECT_THAT(files(), IsEmpty());
  EXPECT_EQ(giver->share(value('r')).view(), value('r'));
}

TEST_F(SharedMemoryTest, ASegmentWhoseFileSomebodyRemovedIsNotUsedAnyMore) {
  const auto giver = memory();
  const auto taker = memory();
  const Blob given = giver->share(value('q'));
  std::filesystem::remove(folder_ + "/" + files().at(0));
  Blob taken;
  EXPECT_EQ(taker->open(*giver->find(given.view()), true, taken), SharedAccess::unreadable);
  giver->tidy();
  EXPECT_FALSE(giver->find(given.view()));
  EXPECT_EQ(given.view(), value('q'));
  const Blob next = giver->share(value('r'));
  ASSERT_EQ(taker->open(*giver->find(next.view()), true, taken), SharedAccess::ok);
  EXPECT_EQ(taken.view(), value('r'));
}

TEST_F(SharedMemoryTest, NothingIsSharedWhenItIsTurnedOff) {
  const auto off = memory(0);
  const auto giver = memory();
  EXPECT_FALSE(off->enabled());
  EXPECT_FALSE(off->share(value('q')));
  EXPECT_EQ(off->probe(), "");
  EXPECT_EQ(off->read_probe(giver->probe()), 0u);
}

TEST_F(SharedMemoryTest, AFolderThatCannotBeUsedIsNoReasonToFail) {
  SharedMemoryOptions options;
  options.folder = folder_ + "/nothing";
  options.bytes_max = kPoolBytes;
  SharedMemory memory(options);
  memory.add_reader();
  EXPECT_EQ(memory.probe(), "");
  EXPECT_FALSE(memory.share(value('r')));
}

// --- the end of processes -----------------------------------------------------------------------

TEST_F(SharedMemoryTest, NothingStaysBehindOfOneThatEnds) {
  {
    const auto giver = memory();
    const Blob given = giver->share(value('s'));
    EXPECT_NE(giver->probe(), "");
    EXPECT_THAT(files(), SizeIs(2));
  }
  // A value that outlived its memory kept the file until now.
  memory()->sweep();
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(SharedMemoryTest, WhatAKilledOwnerLeftIsRemovedByAnother) {
  Child owner([this] {
    auto* giver = memory().release();
    giver->probe();
    new Blob(giver->share(value('t')));
  });
  EXPECT_THAT(files(), SizeIs(2));
  const auto other = memory();
  other->sweep();
  EXPECT_THAT(files(), SizeIs(2)) << "its owner lives";
  owner.kill();
  other->sweep();
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(SharedMemoryTest, AValueOutlivesItsKilledOwnerWhileItIsHeld) {
  int letters[2];
  ASSERT_EQ(::pipe(letters), 0);
  Child owner([&, this] {
    auto* giver = memory().release();
    const auto* given = new Blob(giver->share(value('u')));
    Letter().write(letters[1], *giver->find(given->view()));
  });
  const SharedReference reference = Letter::read(letters[0]);
  const auto holder = memory();
  const auto other = memory();
  Blob held;
  ASSERT_EQ(holder->open(reference, true, held), SharedAccess::ok);
  owner.kill();
  holder->sweep();
  other->sweep();
  EXPECT_EQ(held.view(), value('u'));
  Blob passed_on;
  ASSERT_EQ(other->open(*holder->find(held.view()), true, passed_on), SharedAccess::ok)
      << "also by one that had not opened it before";
  held = Blob();
  other->sweep();
  EXPECT_EQ(passed_on.view(), value('u'));
  EXPECT_THAT(files(), SizeIs(1));
  passed_on = Blob();
  other->sweep();
  EXPECT_THAT(files(), IsEmpty());
  ::close(letters[0]);
  ::close(letters[1]);
}

TEST_F(SharedMemoryTest, BlocksThatAKilledReaderHeldAreGivenOutAgain) {
  const auto giver = memory();
  std::vector<Blob> given;
  while (Blob one = giver->share(value('v'))) given.push_back(one);
  std::vector<SharedReference> references;
  for (const Blob& one : given) references.push_back(*giver->find(one.view()));
  Child reader([&, this] {
    auto* taker = memory().release();
    for (const SharedReference& each : references) {
      Blob taken;
      if (taker->open(each, true, taken) != SharedAccess::ok) std::abort();
      new Blob(taken);
    }
  });
  const std::size_t all = given.size();
  given.clear();
  EXPECT_FALSE(giver->share(value('v'))) << "the reader holds all of them";
  reader.kill();
  giver->sweep();
  while (Blob one = giver->share(value('v'))) given.push_back(one);
  EXPECT_EQ(given.size(), all);
}

TEST_F(SharedMemoryTest, MoreReadersThanOneSegmentCanCountGetCopies) {
  const auto giver = memory();
  Blob given = giver->share(value('w'));
  const SharedReference reference = *giver->find(given.view());
  std::vector<std::unique_ptr<SharedMemory>> readers;
  std::vector<Blob> taken;
  for (unsigned i = 0; i < SharedSegment::kHoldersMax + 2; ++i) {
    readers.push_back(memory());
    ASSERT_EQ(readers.back()->open(reference, true, taken.emplace_back()), SharedAccess::ok);
    EXPECT_EQ(taken.back().view(), value('w'));
  }
  EXPECT_TRUE(readers.front()->find(taken.front().view()));
  EXPECT_FALSE(readers.back()->find(taken.back().view())) << "a copy of its own";
  Blob again;
  given = Blob();
  taken.clear();
  EXPECT_EQ(readers.back()->open(reference, true, again), SharedAccess::gone);
}

TEST_F(SharedMemoryTest, ManyThreadsGiveAndTakeWithoutMixingValues) {
  const auto giver = memory();
  const auto taker = memory();
  std::atomic<int> wrong{0};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) {
        const std::string mine = value(static_cast<char>('a' + (t * 7 + i) % 26), 40'000);
        const Blob given = giver->share(mine);
        if (!given) continue;
        Blob got;
        if (taker->open(*giver->find(given.view()), true, got) != SharedAccess::ok) ++wrong;
        if (got.view() != mine) ++wrong;
        ++taken;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(taken.load(), 0);
}

}  // namespace
}  // namespace callboard
