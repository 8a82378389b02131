// Drives a RedisStore as the broker's loop does, and remembers what it says.
#pragma once

#include "broker/store/redis_store.hpp"
#include "common/clock.hpp"
#include "tests/integration/redis_process.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace callboard::broker {

class StoreDriver : public StoreReader {
 public:
  explicit StoreDriver(const StoreOptions& options, Resolver resolver = Resolver())
      : store_(options, *this, std::move(resolver)) {}
  explicit StoreDriver(const std::string& url) : StoreDriver(options_for(url)) {}

  static StoreOptions options_for(const std::string& url) {
    StoreOptions options;
    options.url = *parse_redis_url(url);
    return options;
  }

  void load_begins(const StoreState& state) override {
    loads += 1;
    went_back = state.went_back;
    entries.clear();
  }
  std::string load(const StoreEntry& entry) override {
    entries.push_back(std::string(entry.key) + "/" + std::string(entry.field) + "=" +
                      std::string(entry.value));
    return {};
  }
  void load_ended() override { loaded = true; }

  /// One turn of the loop, waiting at most `wait_ms` for something to happen.
  void turn(int wait_ms = 20) {
    const std::int64_t left_us = store_.next_deadline_us() - clock_now().mono_us;
    const int timeout = static_cast<int>(std::clamp<std::int64_t>(left_us / 1000 + 1, 0, wait_ms));
    pollfd item{store_.fd(), 0, 0};
    if (store_.wants_read()) item.events |= POLLIN;
    if (store_.wants_write()) item.events |= POLLOUT;
    poll(&item, 1, timeout);
    const Instant now = clock_now();
    if (item.revents != 0) store_.on_ready(now);
    store_.tick(now);
    take_news();
  }
  /// Turns until `done()`, or false after `seconds`.
  template <class Done>
  bool run_until(const Done& done, int seconds = 60) {
    const std::int64_t end_us = clock_now().mono_us + seconds * 1'000'000ll;
    while (!done()) {
      if (clock_now().mono_us > end_us) return false;
      turn();
    }
    return true;
  }
  bool run_until_idle() {
    return run_until([this] { return store_.idle() || !fatal.empty(); }) && fatal.empty();
  }
  /// For some time, whatever happens.
  void run_for_ms(std::int64_t ms) {
    const std::int64_t end_us = clock_now().mono_us + ms * 1000;
    while (clock_now().mono_us < end_us) turn(5);
  }

  /// REQUIRES: store().idle(); the batch stays as it is until it is committed.
  void write(const StoreBatch& batch) {
    store_.write(clock_now(), batch, store_.state().commit_no + 1);
    take_news();
  }
  /// Writes a batch and waits until it is committed.
  bool commit(const StoreBatch& batch) {
    if (!run_until_idle()) return false;
    const std::uint64_t commit_no = store_.state().commit_no + 1;
    write(batch);
    return run_until([&] { return committed == commit_no || !fatal.empty(); }) && fatal.empty();
  }

  RedisStore& store() { return store_; }
  bool said(std::string_view text) const {
    return std::any_of(log.begin(), log.end(),
                       [&](const std::string& line) { return line.find(text) != line.npos; });
  }

  int loads = 0;
  std::string went_back;  ///< what the last load was told
  int begun_again = 0;
  bool loaded = false;
  std::vector<std::string> entries;  ///< "key/field=value"
  std::uint64_t committed = 0;
  std::vector<std::uint64_t> commits;
  int downs = 0;
  int ups = 0;
  bool full = false;
  std::vector<std::string> log;
  std::string fatal;

 private:
  void take_news() {
    StoreNews& news = store_.news();
    for (const Event& event : news.events) {
      if (const auto* done = std::get_if<Committed>(&event)) {
        committed = done->commit_no;
        commits.push_back(committed);
      }
      if (std::holds_alternative<StoreDown>(event)) ++downs;
      if (std::holds_alternative<StoreUp>(event)) ++ups;
      if (const auto* memory = std::get_if<StoreFull>(&event)) full = memory->full;
    }
    for (const auto& [level, text] : news.log) log.push_back(text);
    if (!news.fatal.empty()) fatal = news.fatal;
    if (news.begins_again) {
      ++begun_again;
      loaded = false;
    }
    news = StoreNews{};
  }

  RedisStore store_;
};

}  // namespace callboard::broker
