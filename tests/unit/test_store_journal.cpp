#include "broker/store/journal.hpp"

#include "common/time.hpp"

#include <callboard/codec.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>

namespace callboard::broker {
namespace {

using Hashes = std::map<std::string, std::map<std::string, std::string>>;

/// As the script does it: key by key, what is set before what is erased. Ends after `commands`
/// changes, as a script that fails midway does.
void write_to(Hashes& hashes, const StoreBatch& batch, std::size_t commands = SIZE_MAX) {
  for (const auto& key : batch.keys()) {
    if (commands == 0) return;
    if (key.drop) hashes.erase(std::string(key.name));
    auto& fields = hashes[std::string(key.name)];
    for (const auto& [field, value] : key.sets) {
      if (commands-- == 0) return;
      fields[std::string(field)] = std::string(value);
    }
    for (const auto& field : key.erases) {
      if (commands-- == 0) return;
      fields.erase(std::string(field));
    }
    if (fields.empty()) hashes.erase(std::string(key.name));
  }
}

std::size_t size_of(const StoreBatch& batch) {
  std::size_t n = 0;
  for (const auto& key : batch.keys()) n += key.sets.size() + key.erases.size();
  return n;
}

/// What the core says of calls goes straight to the journal; a batch may say it, too.
enum class Way { batch, straight };

class JournalTest : public ::testing::TestWithParam<Way> {
 protected:
  void set(const std::string& key, const std::string& field, const std::string& value) {
    said_.set(said_.key(KeyKind::hash, key), field, value);
    QueuePart part{};
    if (!goes_straight(key, part)) {
      changes_.set(changes_.key(KeyKind::hash, key), field, value);
    } else if (part == QueuePart::sent) {
      journal_->set_sent(queue_, std::stoull(field), value);
    } else {
      char* const at = journal_->begin_call(queue_, std::stoull(field), value.size());
      journal_->end_call(std::copy(value.begin(), value.end(), at));
    }
  }
  void erase(const std::string& key, const std::string& field) {
    said_.erase(said_.key(KeyKind::hash, key), field);
    QueuePart part{};
    if (!goes_straight(key, part)) {
      changes_.erase(changes_.key(KeyKind::hash, key), field);
    } else if (part == QueuePart::sent) {
      journal_->erase_sent(queue_, std::stoull(field));
    } else {
      journal_->erase_call(queue_, std::stoull(field));
    }
  }
  void drop(const std::string& key) {
    said_.drop(said_.key(KeyKind::hash, key));
    changes_.drop(changes_.key(KeyKind::hash, key));
  }
  void count(const std::string& queue, std::uint64_t next, std::optional<std::uint64_t> watermark) {
    counters_[queue] = {next, watermark};
  }
  bool goes_straight(const std::string& key, QueuePart& part) {
    std::string_view name;
    const bool straight = GetParam() == Way::straight && ChangeTable::split(key, name, part) &&
                          part != QueuePart::facts;
    if (!straight) return false;
    journal_->gather(now_, commit_no_ + 1);
    QueueTicket& ticket = tickets_[std::string(name)];
    if (!journal_->knows(ticket)) ticket = journal_->queue(name);
    queue_ = ticket.queue;
    return true;
  }
  const StoreBatch& write() {
    ++commit_no_;
    write_to(meant_, said_);
    said_.clear();
    journal_->carry(now_, changes_, commit_no_);
    for (const auto& [name, counters] : counters_) {
      journal_->gather(now_, commit_no_);
      journal_->set_counters(journal_->queue(name).queue, counters.first, counters.second);
      meant_["q:" + name]["next"] = std::to_string(counters.first);
      if (counters.second) meant_["q:" + name]["sent.0.0"] = std::to_string(*counters.second);
    }
    counters_.clear();
    return journal_->write(now_, changes_, commit_no_);
  }
  void commit() {
    write_to(store_, write());
    changes_.clear();
  }
  void pass(std::int64_t ms) { now_.mono_us += ms * kMicrosPerMilli; }
  /// What is old enough goes to its hash with one commit, and its records with the next.
  void settle() {
    pass(50);
    commit();
    commit();
  }

  void begin(std::int64_t settle_ms = 50) {
    journal_ = std::make_unique<Journal>(settle_ms, backlog_);
    tickets_.clear();
  }
  /// A new run of the broker on what is stored; what it takes the state to be.
  Hashes restart(std::int64_t settle_ms = 50) {
    begin(settle_ms);
    Hashes found = store_;
    found.erase("journal");
    if (store_.contains("journal")) {
      for (const auto& [no, record] : store_["journal"]) EXPECT_EQ(journal_->load(no, record), "");
    }
    EXPECT_EQ(journal_->recover(), "");
    for (auto& [key, fields] : found) {
      std::erase_if(fields, [&](const auto& each) {
        return journal_->changes(key) && journal_->says(key, each.first);
      });
    }
    journal_->each([&](std::string_view key, std::string_view field, std::string_view value) {
      found[std::string(key)][std::string(field)] = std::string(value);
    });
    std::erase_if(found, [](const auto& each) { return each.second.empty(); });
    return found;
  }

  std::uint32_t backlog_ = Journal::kBacklog;
  std::unique_ptr<Journal> journal_ = std::make_unique<Journal>(50);
  Instant now_{1'000'000, 1'000};
  StoreBatch changes_;
  StoreBatch said_;  ///< all of it
  std::map<std::string, std::pair<std::uint64_t, std::optional<std::uint64_t>>> counters_;
  std::map<std::string, QueueTicket> tickets_;
  std::uint32_t queue_ = 0;
  std::uint64_t commit_no_ = 7;
  Hashes store_;
  Hashes meant_;
};

TEST_P(JournalTest, CallThatEndsSoonNeverReachesItsHash) {
  set("q:a:calls", "1", "call");
  commit();
  EXPECT_EQ(store_["journal"].size(), 1u);
  EXPECT_FALSE(store_.contains("q:a:calls"));
  erase("q:a:calls", "1");
  commit();
  pass(100);
  EXPECT_LE(journal_->due_us(), now_.mono_us);
  // Not even as a field that is deleted.
  const StoreBatch& last = write();
  ASSERT_EQ(last.keys().size(), 1u);
  EXPECT_EQ(last.keys()[0].name, "journal");
  write_to(store_, last);
  EXPECT_TRUE(store_.empty());
  EXPECT_EQ(journal_->due_us(), kNever);
}

TEST_P(JournalTest, CallThatWasSentOutOfOrderAndEndsSoonReachesNoHashEither) {
  set("q:a:calls", "1", "call");
  set("q:a:sent", "1", "sent");
  commit();
  set("q:a:sent", "1", "sent again");
  commit();
  erase("q:a:sent", "1");
  erase("q:a:calls", "1");
  commit();
  pass(50);
  const StoreBatch& last = write();
  ASSERT_EQ(last.keys().size(), 1u);
  EXPECT_EQ(last.keys()[0].name, "journal");
}

TEST_P(JournalTest, WhatWasSentOfASettledCallIsDeletedFromItsHash) {
  set("q:a:calls", "1", "call");
  commit();
  settle();
  set("q:a:sent", "1", "sent");
  commit();
  settle();
  EXPECT_TRUE(store_.contains("q:a:sent"));
  erase("q:a:sent", "1");
  erase("q:a:calls", "1");
  commit();
  settle();
  settle();
  EXPECT_TRUE(store_.empty());
}

TEST_P(JournalTest, BacklogReachesItsHashOnceTheSettleTimeIsOver) {
  set("q:a:calls", "1", "call");
  set("q:a", "next", "2");
  commit();
  EXPECT_EQ(journal_->due_us(), now_.mono_us + 50'000);
  pass(39);
  commit();
  EXPECT_FALSE(store_.contains("q:a:calls"));
  pass(1);  // not due yet, but it rides with another commit
  commit();
  EXPECT_EQ(store_["q:a:calls"].size(), 1u);
  EXPECT_EQ(store_["journal"].size(), 1u);
  commit();
  EXPECT_EQ(store_, (Hashes{{"q:a:calls", {{"1", "call"}}}, {"q:a", {{"next", "2"}}}}));
  erase("q:a:calls", "1");
  commit();
  EXPECT_EQ(store_["q:a:calls"].size(), 1u);
  settle();
  EXPECT_EQ(store_, (Hashes{{"q:a", {{"next", "2"}}}}));
}

TEST_P(JournalTest, OtherKeysAreWrittenAtOnceWithTheirExpiry) {
  const auto key = changes_.key(KeyKind::hash, "results:1");
  changes_.set(key, "1", "r");
  changes_.expire(key, 5);
  const StoreBatch& batch = write();
  ASSERT_EQ(batch.keys().size(), 1u);
  EXPECT_EQ(batch.keys()[0].name, "results:1");
  EXPECT_EQ(batch.keys()[0].expire_ms, 5);
  EXPECT_EQ(journal_->due_us(), kNever);
}

TEST_P(JournalTest, DroppedKeyIsGoneAtOnceAndNothingOlderComesBack) {
  set("q:~a", "next", "2");
  commit();
  settle();
  set("q:~a", "next", "3");
  commit();
  drop("q:~a");
  commit();
  EXPECT_FALSE(store_.contains("q:~a"));
  EXPECT_TRUE(restart().empty());
  settle();
  settle();
  EXPECT_TRUE(store_.empty());
}

TEST_P(JournalTest, LargeCallIsWrittenOnceAndErasedLater) {
  const std::string large(100'000, 'x');
  set("q:a:calls", "1", large);
  commit();
  EXPECT_EQ(store_["q:a:calls"]["1"], large);
  EXPECT_LT(store_["journal"].empty() ? 0 : store_["journal"].begin()->second.size(), 100u);
  erase("q:a:calls", "1");
  commit();
  EXPECT_TRUE(restart().empty());
  settle();
  EXPECT_FALSE(store_.contains("q:a:calls"));
}

TEST_P(JournalTest, LargeCallTakesTheEndedOnesOfItsQueueOutOfTheHash) {
  set("q:a:calls", "1", "call");
  commit();
  settle();
  erase("q:a:calls", "1");
  commit();
  EXPECT_EQ(store_["q:a:calls"].size(), 1u);
  set("q:a:calls", "2", std::string(100'000, 'x'));
  commit();
  EXPECT_EQ(store_["q:a:calls"].size(), 1u);  // else HLEN would say two, of which one is left
  EXPECT_EQ(restart(), meant_);
}

TEST_P(JournalTest, LargeCallCountsEvenWhereAnEarlierRecordSaysThatItsNumberEnded) {
  set("q:a:calls", "1", "call");
  commit();
  settle();
  erase("q:a:calls", "1");
  commit();
  set("q:a:calls", "1", std::string(100'000, 'x'));
  commit();
  EXPECT_EQ(restart(), meant_);
  settle();
  settle();
  EXPECT_EQ(store_, meant_);
}

TEST_P(JournalTest, CallsOfABacklogGoToTheirHashAtOnceUntilTheyEndSoonAgain) {
  std::uint64_t number = 0;
  const auto accept = [&](std::uint64_t calls) {
    for (; calls > 0; --calls) set("q:a:calls", std::to_string(++number), "call");
  };
  accept(5000);
  commit();
  EXPECT_FALSE(store_.contains("q:a:calls"));
  settle();
  ASSERT_EQ(store_["q:a:calls"].size(), 5000u);
  accept(10);
  commit();
  EXPECT_EQ(store_["q:a:calls"].size(), 5010u);
  // What has ended leaves before others come.
  erase("q:a:calls", "1");
  commit();
  accept(1);
  commit();
  EXPECT_EQ(store_["q:a:calls"].size(), 5010u);
  EXPECT_EQ(restart(), meant_);

  // After a restart nobody knows it yet; and calls that end soon are not written any more.
  settle();
  accept(5000);
  commit();
  settle();
  accept(1);
  const std::uint64_t at_once = number;
  commit();
  EXPECT_TRUE(store_["q:a:calls"].contains(std::to_string(at_once)));
  erase("q:a:calls", std::to_string(at_once));
  commit();
  accept(1);
  commit();
  EXPECT_FALSE(store_["q:a:calls"].contains(std::to_string(number)));
  settle();
  EXPECT_EQ(store_["q:a:calls"], meant_["q:a:calls"]);
}

TEST_P(JournalTest, RecordsGoOnlyAfterWhatTheySaidIsInTheHashes) {
  set("sessions", "1", "s");
  set("q:a:calls", "1", "call");
  set("q:a", "next", "2");
  commit();
  pass(50);
  set("q:a:calls", "2", "call");
  const StoreBatch batch = write();
  const Hashes before = store_;
  ASSERT_EQ(size_of(batch), 3u);
  for (std::size_t commands = 0; commands <= size_of(batch); ++commands) {
    store_ = before;
    write_to(store_, batch, commands);
    const Hashes found = restart();
    EXPECT_TRUE(found.at("q:a:calls").contains("1")) << commands;
    EXPECT_EQ(found.at("q:a").at("next"), "2") << commands;
  }
}

TEST_P(JournalTest, RecordsGoWithNoCommandThatMayGoWrongForWhatTheySaid) {
  set("q:a:calls", "1", "call");
  set("q:a", "next", "2");
  commit();
  pass(50);
  set("q:a:calls", "2", "call");
  const StoreBatch settling = write();
  changes_.clear();
  for (const auto& key : settling.keys()) EXPECT_TRUE(key.erases.empty()) << key.name;
  write_to(store_, settling);
  const StoreBatch dropping = write();
  ASSERT_EQ(dropping.keys().size(), 1u);
  EXPECT_EQ(dropping.keys()[0].name, "journal");
  EXPECT_EQ(dropping.keys()[0].erases.size(), 1u);
}

TEST_P(JournalTest, BrokerThatEndsInGoodOrderLeavesNoJournal) {
  set("q:a:calls", "1", "call");
  set("q:a", "next", "2");
  commit();
  ASSERT_TRUE(store_.contains("journal"));
  journal_->put_off_nothing();
  EXPECT_LE(journal_->due_us(), now_.mono_us);
  set("q:a:calls", "2", "call");
  erase("q:a:calls", "1");
  commit();
  EXPECT_LE(journal_->due_us(), now_.mono_us);
  commit();
  EXPECT_EQ(store_, meant_);
  EXPECT_EQ(journal_->due_us(), kNever);
}

TEST_P(JournalTest, RunWithoutAJournalSettlesWhatAnEarlierOneLeftAndIsRidOfIt) {
  set("q:a:calls", "1", "call");
  set("q:a", "next", "2");
  commit();
  EXPECT_EQ(restart(0), meant_);
  for (int i = 2; i < 5; ++i) {  // whatever else goes on
    erase("q:a:calls", std::to_string(i - 1));
    set("q:a:calls", std::to_string(i), "call");
    commit();
  }
  EXPECT_EQ(store_, meant_);
  EXPECT_EQ(journal_->due_us(), kNever);
}

TEST_P(JournalTest, WhatOneCommitCannotHoldIsSettledWithTheNext) {
  const std::string value(10'000, 'c');
  for (int i = 0; i < 1'000; ++i) set("q:a:calls", std::to_string(i), value);
  commit();
  settle();
  const std::size_t first = store_["q:a:calls"].size();
  EXPECT_GT(first, 0u);
  EXPECT_LT(first, 1'000u);
  EXPECT_EQ(restart(), meant_);
  for (int i = 0; i < 4; ++i) settle();
  EXPECT_EQ(store_, meant_);
}

TEST_P(JournalTest, WhatWaitsDoesNotGrowHoweverMuchEachCommitBrings) {
  int number = 0;
  for (int step = 0; step < 20; ++step) {
    for (int n = 0; n < 30'000; ++n) set("q:a:calls", std::to_string(++number), "call");
    commit();
    pass(50);
    EXPECT_LE(store_["journal"].size(), 4u);
  }
}

TEST_P(JournalTest, HashNeverHoldsMoreCallsThanItsQueueMayHave) {
  constexpr std::size_t kMaxPending = 10;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    backlog_ = random() % 2 == 0 ? 4 : Journal::kBacklog;
    begin();
    store_.clear();
    meant_.clear();
    std::vector<int> open;
    int number = 0;
    for (int step = 0; step < 500; ++step) {
      for (unsigned n = random() % 12; n > 0; --n) {
        if (!open.empty() && (open.size() == kMaxPending || random() % 2 == 0)) {
          const std::size_t which = random() % open.size();
          erase("q:a:calls", std::to_string(open[which]));
          open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
        } else {
          set("q:a:calls", std::to_string(++number),
              std::string(random() % 100 == 0 ? 20'000 : 9, 'c'));
          open.push_back(number);
        }
      }
      commit();
      ASSERT_LE(store_["q:a:calls"].size(), kMaxPending) << seed;
      pass(random() % 20);
      if (random() % 50 != 0) continue;
      ASSERT_EQ(restart(), meant_) << seed;
    }
  }
}

TEST_P(JournalTest, RecordStaysWhileTheCommitThatTakesItsPlaceMayGoWrong) {
  set("q:a:calls", "1", "call");
  commit();
  pass(50);
  erase("q:a:calls", "1");
  const StoreBatch& ending = write();
  for (const auto& key : ending.keys()) EXPECT_TRUE(key.erases.empty()) << key.name;
  write_to(store_, ending);
  changes_.clear();
  EXPECT_EQ(store_["journal"].size(), 2u);
  commit();
  EXPECT_EQ(store_, meant_);
}

TEST_P(JournalTest, RecordsGoWithTheNextCommitOnceTheirCallsHaveEnded) {
  for (int number = 1; number <= 20; ++number) {
    set("q:a:calls", std::to_string(number), "call");
    if (number > 2) erase("q:a:calls", std::to_string(number - 2));
    commit();
    EXPECT_LE(store_["journal"].size(), 4u);
  }
}

TEST_P(JournalTest, RecordsStayBehindOneWhoseCallHasNotEnded) {
  set("q:a:calls", "1", "slow");
  commit();
  for (int number = 2; number <= 20; ++number) {
    set("q:a:calls", std::to_string(number), "call");
    commit();
    erase("q:a:calls", std::to_string(number));
    commit();
  }
  EXPECT_EQ(store_["journal"].size(), 39u);
  erase("q:a:calls", "1");
  commit();
  EXPECT_EQ(store_["journal"].size(), 40u);
  commit();
  EXPECT_EQ(store_, meant_);
}

TEST_P(JournalTest, CallThatEndsInTheCommitThatStoresItLeavesNothing) {
  set("q:a:calls", "1", "call");
  erase("q:a:calls", "1");
  commit();
  EXPECT_TRUE(restart().empty());
  settle();
  settle();
  EXPECT_TRUE(store_.empty());
}

TEST_P(JournalTest, CallOfABacklogThatEndsInTheCommitThatStoresItLeavesNothing) {
  backlog_ = 4;
  begin();
  for (int i = 1; i <= 8; ++i) set("q:a:calls", std::to_string(i), "call");
  commit();
  settle();
  set("q:a:calls", "9", "call");
  set("q:a:calls", "10", "call");
  erase("q:a:calls", "9");
  commit();
  EXPECT_EQ(store_["q:a:calls"].size(), 9u);
  EXPECT_EQ(restart(), meant_);
  settle();
  settle();
  EXPECT_EQ(store_, meant_);
}

TEST_P(JournalTest, CountersAreTwoFieldsOfTheirQueueInTheOrderInWhichTheyWereSet) {
  set("q:a", "next", "1");
  count("a", 5, 4);
  commit();
  EXPECT_TRUE(journal_->says("q:a", "next"));
  EXPECT_EQ(restart(), meant_);
  EXPECT_TRUE(journal_->says("q:a", "sent.0.0"));
  EXPECT_FALSE(journal_->says("q:a", "class"));
  set("q:a", "next", "7");
  commit();
  EXPECT_EQ(restart(), (Hashes{{"q:a", {{"next", "7"}, {"sent.0.0", "4"}}}}));
  settle();
  EXPECT_EQ(store_, meant_);
}

TEST_P(JournalTest, QueuesKeepTheirNumbersUntilManyAreIdle) {
  const auto ticket = journal_->queue("a");
  set("q:a:calls", "1", "call");
  commit();
  EXPECT_TRUE(journal_->knows(ticket));
  for (int i = 0; i < 10'000; ++i) journal_->queue("q" + std::to_string(i));
  commit();
  EXPECT_TRUE(journal_->knows(ticket));  // it has a change that waits
  settle();
  for (int i = 0; i < 10'000; ++i) journal_->queue("q" + std::to_string(i));
  commit();
  EXPECT_FALSE(journal_->knows(ticket));
  EXPECT_FALSE(journal_->knows(QueueTicket()));
  set("q:a:calls", "2", "call");
  commit();
  EXPECT_EQ(restart(), meant_);
}

TEST_P(JournalTest, RecordsOfTheVersionBeforeAreRead) {
  const auto record = [](const auto& fill) {
    std::string bytes;
    wire::Writer out(bytes);
    out.uint(1);
    fill(out);
    return bytes;
  };
  store_ = {{"q:a:calls", {{"1", "one"}}}, {"q:a", {{"next", "1"}, {"kind", "actor"}}}};
  store_["journal"]["5"] = record([](wire::Writer& out) {
    out.str("q:a:calls");
    out.boolean(false);
    out.uint(0);
    out.uint(1);
    out.bin("1");
    out.uint(2);
    for (const char* number : {"2", "3"}) {
      out.bin(number);
      out.bin("call");
    }
  });
  store_["journal"]["6"] = record([](wire::Writer& out) {
    out.str("q:a:calls");
    out.boolean(false);
    out.uint(1);  // it was written to its hash at once
    out.bin("2");
    out.uint(0);
    out.uint(0);
    out.str("q:a");
    out.boolean(true);
    out.uint(0);
    out.uint(0);
    out.uint(1);
    out.bin("next");
    out.bin("4");
  });
  store_["q:a:calls"]["2"] = "two";
  store_.erase("q:a");
  meant_ = {{"q:a:calls", {{"2", "two"}, {"3", "call"}}}, {"q:a", {{"next", "4"}}}};
  EXPECT_EQ(restart(), meant_);
  count("a", 5, 4);
  commit();
  EXPECT_EQ(restart(), meant_);
  settle();
  settle();
  EXPECT_EQ(store_, meant_);
}

TEST_P(JournalTest, RecordThatCannotBeReadIsNamed) {
  EXPECT_NE(journal_->load("x7", "y"), "");
  EXPECT_EQ(journal_->load("7", "\x01\xa3q:a"), "");
  EXPECT_NE(journal_->recover().find("record 7"), std::string::npos);
  for (const char* record : {"\x02\x05\x01", "\x02\x01\xa1x\x0d", "\x02\x02\x00", "\x03"}) {
    begin();
    EXPECT_EQ(journal_->load("7", record), "");
    EXPECT_NE(journal_->recover().find("record 7"), std::string::npos);
  }
}

TEST_P(JournalTest, AnyRunOfCommitsAndRestartsLeavesWhatWasMeant) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    std::mt19937 random(seed);
    backlog_ = random() % 2 == 0 ? 4 : Journal::kBacklog;
    begin();
    store_.clear();
    meant_.clear();
    std::map<int, std::uint64_t> next;
    for (int step = 0; step < 400; ++step) {
      for (unsigned n = random() % 6; n > 0; --n) {
        const int queue = static_cast<int>(random() % 3);
        const std::string key = "q:" + std::to_string(queue);
        const std::string number = std::to_string(++next[queue]);
        const std::string old = std::to_string(random() % (next[queue] + 1));
        switch (random() % 9) {
          case 8:
            count(std::to_string(queue), next[queue] + 1,
                  queue > 0 ? std::optional<std::uint64_t>(next[queue]) : std::nullopt);
            break;
          case 0: set(key, "sent." + std::to_string(random() % 2), number); break;
          case 1: set(key + ":sent", old, number); break;
          case 2: erase(key + ":sent", old); break;
          case 3: set("sessions", old, number); break;
          case 4: if (random() % 8 == 0) drop(key); break;
          case 5: set(key + ":calls", number, std::string(random() % 50 == 0 ? 20'000 : 9, 'c'));
            break;
          default: erase(key + ":calls", old); break;
        }
      }
      commit();
      pass(random() % 20);
      if (random() % 40 != 0) continue;
      ASSERT_EQ(restart(random() % 4 == 0 ? 0 : 50), meant_) << seed;
    }
    for (int i = 0; i < 3; ++i) settle();
    ASSERT_EQ(store_, meant_) << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, JournalTest, ::testing::Values(Way::batch, Way::straight),
                         [](const auto& way) {
                           return way.param == Way::batch ? "Batch" : "Straight";
                         });

}  // namespace
}  // namespace callboard::broker
