// A StoreDialogue with a test on the other end of its connection.
#pragma once

#include "broker/store/dialogue.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <string>
#include <variant>
#include <vector>

namespace callboard::broker {

inline const std::string kInfo =
    "redis_version:7.0.15\r\nloading:0\r\nused_memory:100\r\nmaxmemory:0\r\n"
    "maxmemory_policy:noeviction\r\naof_enabled:1\r\n";
inline const std::string kInfoLimited =
    "redis_version:7.0.15\r\nloading:0\r\nused_memory:950\r\nmaxmemory:1000\r\n"
    "maxmemory_policy:noeviction\r\naof_enabled:1\r\n";
inline const std::string kInfoEvicting =
    "redis_version:7.0.15\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n";
inline const std::string kConfig =
    bulks({"appendonly", "yes", "appendfsync", "always", "no-appendfsync-on-rewrite", "no"});

class Dialogue : public ::testing::Test, protected StoreReader {
 protected:
  void load_begins(const StoreState& state) override {
    began_because_ = state.went_back;
    loaded_.push_back("begin " + std::to_string(state.epoch) + " " +
                      std::to_string(state.commit_no));
  }
  std::string load(const StoreEntry& entry) override {
    loaded_.push_back(std::string(entry.key) + "/" + std::string(entry.field));
    return entry.field == "unreadable" ? "no such record" : "";
  }
  void load_ended() override { loaded_.push_back("end"); }

  // --- Redis's side -----------------------------------------------------------------------------
  std::vector<Words> asked() { return take_commands(dialogue_.output()); }
  std::vector<std::string> verbs() {
    std::vector<std::string> all;
    for (const Words& words : asked()) all.push_back(words.front());
    return all;
  }
  void say(const std::string& bytes) { dialogue_.received(now_, bytes); }
  void pass_ms(std::int64_t ms) {
    now_.mono_us += ms * kMicrosPerMilli;
    dialogue_.tick(now_);
  }

  void connect() {
    if (!dialogue_.wants_connection(now_)) pass_ms(500);
    ASSERT_TRUE(dialogue_.wants_connection(now_));
    dialogue_.connecting(now_);
    dialogue_.connected(now_);
  }
  void greet(const std::string& info = kInfo) {
    say("+OK\r\n" + bulk(info) + kConfig + bulk("sha"));
  }
  void connect_and_greet() {
    connect();
    asked();
    greet();
    ASSERT_THAT(verbs(), ::testing::ElementsAre("EVAL"));
  }
  void own(std::uint64_t commit_no, std::uint64_t epoch = 4) {
    say(bulks({"OWNED", std::to_string(epoch), "1", std::to_string(commit_no)}));
  }
  /// From nothing to ready, with an empty store at commit 10.
  void start(const std::string& info = kInfo) {
    connect();
    asked();
    greet(info);
    asked();
    own(10);
    for (int i = 0; i < kEmptyStorePages; ++i) say(page("0", {}));
    ASSERT_THAT(loaded_, ::testing::Contains("end"));
    asked();
  }
  /// What the fence script was asked with: the epoch of this run, then the witness.
  std::vector<std::string> witness_told() {
    const auto all = asked();
    if (all.size() != 1 || all[0].size() != 14) return {"not one fence script"};
    return {all[0][8], all[0][10], all[0][11], all[0][12]};
  }
  void write(std::uint64_t commit_no) {
    ASSERT_TRUE(dialogue_.idle());
    dialogue_.commit(now_, batch_, commit_no);
  }

  /// The script's answer, and what the broker then asks so that it may use transactions.
  void commit_by_script(std::uint64_t commit_no, const std::string& token = "random-1") {
    write(commit_no);
    EXPECT_EQ(verbs(), std::vector<std::string>{"EVALSHA"});
    say("+COMMITTED\r\n");
    EXPECT_EQ(verbs(), (std::vector<std::string>{"MULTI", "EXEC", "WATCH", "GET", "HGET"}));
    say("+OK\r\n*0\r\n" + guard(token, commit_no));
  }
  /// The answers to WATCH, GET and HGET.
  static std::string guard(const std::string& token, std::uint64_t commit_no) {
    return "+OK\r\n" + bulk(token) + bulk(std::to_string(commit_no));
  }
  /// The answers to a transaction without changes, up to that of EXEC.
  static std::string queued() { return "+OK\r\n+QUEUED\r\n"; }

  // --- what happened ----------------------------------------------------------------------------
  std::vector<std::string> events() {
    std::vector<std::string> all;
    for (const Event& event : dialogue_.news().events) {
      if (const auto* done = std::get_if<Committed>(&event)) {
        all.push_back("committed " + std::to_string(done->commit_no));
      } else if (const auto* down = std::get_if<StoreDown>(&event)) {
        all.push_back("down: " + down->text);
      } else if (std::holds_alternative<StoreUp>(event)) {
        all.push_back("up");
      } else if (const auto* full = std::get_if<StoreFull>(&event)) {
        all.push_back(full->full ? "full" : "room");
      }
    }
    dialogue_.news().events.clear();
    return all;
  }
  std::vector<std::string> log() {
    std::vector<std::string> all;
    for (const auto& [level, text] : dialogue_.news().log) all.push_back(text);
    dialogue_.news().log.clear();
    return all;
  }
  const std::string& fatal() { return dialogue_.news().fatal; }

  Instant now_{1'000'000, 0};
  StoreBatch batch_;
  std::vector<std::string> loaded_;
  std::string began_because_;
  StoreOptions options_;
  StoreDialogue dialogue_{options_, "random", *this};
};

}  // namespace callboard::broker
