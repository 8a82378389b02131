// Options of calls and actors: what is written is read; what makes no sense is named in a sentence.

#include "common/limits.hpp"
#include "common/options.hpp"

#include <gtest/gtest.h>
#include <msgpack.hpp>

#include <sstream>

namespace callboard::wire {
namespace {

template <class Options>
std::string encoded(const Options& options) {
  std::string bytes;
  Writer out(bytes);
  write(out, options);
  return bytes;
}

std::string printed(const std::string& bytes) {
  std::ostringstream text;
  text << msgpack::unpack(bytes.data(), bytes.size()).get();
  return text.str();
}

template <class Options>
std::string problem_with(const std::string& bytes) {
  Reader in(bytes);
  Options options;
  std::string problem;
  const bool good = read(in, options, problem);
  EXPECT_EQ(good, problem.empty()) << printed(bytes);
  EXPECT_EQ(good, in.ok());
  return problem;
}

// {key: value}, where `write_value` writes the value.
template <class WriteValue>
std::string one(std::uint64_t key, WriteValue write_value) {
  std::string bytes;
  Writer out(bytes);
  out.map(1);
  out.uint(key);
  write_value(out);
  return bytes;
}

CallOptions full_call_options() {
  CallOptions o;
  o.deadline_ms = 1500;
  o.priority = -3;
  o.key = "user-7";
  o.headers = std::string("\x81\xa1k\xa1v");
  o.refs = {{0, {SessionId{5}, 2}}, {3, {SessionId{6}, 1}}};
  o.after = {{SessionId{5}, 1}};
  o.max_retries = 4;
  o.retry_on = RetryOn{RetryOn::Which::listed, {"std::runtime_error"}};
  o.backoff_ms = {10, 1000};
  o.idempotency_key = "order-1";
  o.durability = Durability::memory;
  o.delay_ms = 250;
  o.at_ms = 1'700'000'000'000;
  o.group = "io";
  o.no_result = true;
  o.parent = {SessionId{9}, 4};
  o.when_full = WhenFull::block;
  return o;
}

ActorOptions full_actor_options() {
  ActorOptions o;
  o.name = "hits";
  o.name_space = "shop";
  o.get_if_exists = true;
  o.lifetime = Lifetime::detached;
  o.replicas = 2;
  o.max_concurrency = 8;
  o.mode = Mode::threaded;
  o.max_pending = 100;
  o.max_pending_bytes = 100'000;
  o.when_full = WhenFull::block;
  o.ordering = Ordering::key;
  o.groups = {{"io", 4}, {"cpu", 1}};
  o.method_groups = {{"fetch", "io"}};
  o.max_restarts = -1;
  o.max_retries = 2;
  o.dedicated = true;
  o.max_batch_size = 16;
  o.batch_wait_us = 500;
  o.durability = Durability::memory;
  o.resources = {{"gpu", 0.5}};
  o.backoff_ms = {1, 2};
  o.retry_on = RetryOn{RetryOn::Which::all, {}};
  o.deadline_ms = 9000;
  return o;
}

TEST(Options, CallOptionsHaveTheirDocumentedKeys) {
  EXPECT_EQ(printed(encoded(full_call_options())),
            R"({1:1500,2:-3,3:"user-7",4:{"k":"v"},5:[0,5,2,3,6,1],6:[5,1],7:4,)"
            R"(8:["std::runtime_error"],9:[10,1000],10:"order-1",11:1,12:250,17:1700000000000,)"
            R"(13:"io",14:true,)"
            R"(15:[9,4],16:1})");
}

TEST(Options, ActorOptionsHaveTheirDocumentedKeys) {
  EXPECT_EQ(printed(encoded(full_actor_options())),
            R"({1:"hits",2:"shop",3:true,4:1,5:2,16:true,20:{"gpu":0.5},6:8,7:2,8:100,9:100000,)"
            R"(10:1,11:1,12:{"io":4,"cpu":1},13:{"fetch":"io"},17:16,18:500,14:-1,15:2,19:1,)"
            R"(21:[1,2],22:true,23:9000})");
}

TEST(Options, EveryOptionIsReadAsItWasWritten) {
  const std::string call = encoded(full_call_options());
  Reader in_call(call);
  CallOptions call_options;
  std::string problem;
  ASSERT_TRUE(read(in_call, call_options, problem)) << problem;
  EXPECT_EQ(encoded(call_options), call);
  EXPECT_TRUE(in_call.at_end());

  const std::string actor = encoded(full_actor_options());
  Reader in_actor(actor);
  ActorOptions actor_options;
  ASSERT_TRUE(read(in_actor, actor_options, problem)) << problem;
  EXPECT_EQ(encoded(actor_options), actor);
  EXPECT_TRUE(in_actor.at_end());
}

TEST(Options, DefaultsAreNotWrittenAtAll) {
  EXPECT_EQ(encoded(CallOptions()), "\xc0");
  EXPECT_EQ(encoded(ActorOptions()), "\xc0");
  EXPECT_TRUE(CallOptions().empty());
  EXPECT_FALSE(full_call_options().empty());
  CallOptions only_priority;
  only_priority.priority = 0;
  EXPECT_FALSE(only_priority.empty()) << "said, though it is the usual value";
}

TEST(Options, ReadingReplacesWhatWasThere) {
  Reader in("\xc0");
  CallOptions options = full_call_options();
  std::string problem = "old";
  EXPECT_TRUE(read(in, options, problem));
  EXPECT_TRUE(options.empty());
  EXPECT_TRUE(problem.empty());
}

TEST(Options, EveryTruncationIsNamedAsAProblem) {
  const std::string call = encoded(full_call_options());
  for (std::size_t length = 0; length < call.size(); ++length) {
    EXPECT_NE(problem_with<CallOptions>(call.substr(0, length)), "") << length;
  }
  const std::string actor = encoded(full_actor_options());
  for (std::size_t length = 0; length < actor.size(); ++length) {
    EXPECT_NE(problem_with<ActorOptions>(actor.substr(0, length)), "") << length;
  }
}

TEST(Options, AnUnknownKeyIsAnErrorAndNotIgnored) {
  const auto nil = [](Writer& out) { out.nil(); };
  EXPECT_EQ(problem_with<CallOptions>(one(18, nil)), "there is no option with the number 18");
  EXPECT_EQ(problem_with<CallOptions>(one(0, nil)), "there is no option with the number 0");
  EXPECT_EQ(problem_with<ActorOptions>(one(24, nil)), "there is no option with the number 24");
  EXPECT_EQ(problem_with<ActorOptions>(one(UINT64_MAX, nil)),
            "there is no option with the number 18446744073709551615");
  EXPECT_EQ(problem_with<CallOptions>("\x81\xa1x\x01"), "the key of an option is not a number");
  EXPECT_EQ(problem_with<CallOptions>("\x91\x01"), "options are not a map");
}

TEST(Options, AnOptionGivenTwiceIsAnError) {
  EXPECT_EQ(problem_with<CallOptions>(std::string("\x82\x02\x01\x02\x01")),
            "option 2 is given twice");
}

TEST(Options, AWrongKindOfValueIsNamedWithBothKinds) {
  EXPECT_EQ(problem_with<CallOptions>(one(1, [](Writer& out) { out.str("soon"); })),
            "option deadline must be int, not str");
  EXPECT_EQ(problem_with<CallOptions>(one(4, [](Writer& out) { out.nil(); })),
            "option headers must be map, not nil");
  EXPECT_EQ(problem_with<ActorOptions>(one(1, [](Writer& out) { out.uint(5); })),
            "option name must be str, not int");
  EXPECT_EQ(problem_with<ActorOptions>(one(12, [](Writer& out) { out.array(0); })),
            "option groups must be map, not array");
}

TEST(Options, ValuesOutOfRangeAreNamedWithTheirRange) {
  EXPECT_EQ(problem_with<CallOptions>(one(2, [](Writer& out) { out.integer(128); })),
            "option priority must be from -128 to 127");
  EXPECT_EQ(problem_with<CallOptions>(one(7, [](Writer& out) { out.integer(-2); })),
            "option max_retries must be from -1 to 2147483647");
  EXPECT_EQ(problem_with<CallOptions>(one(11, [](Writer& out) { out.uint(2); })),
            "option durability must be from 0 to 1");
  EXPECT_EQ(problem_with<CallOptions>(one(1, [](Writer& out) { out.uint(UINT64_MAX); })),
            "option deadline must be from -3153600000000 to 3153600000000");
  EXPECT_EQ(problem_with<ActorOptions>(one(5, [](Writer& out) { out.uint(10'001); })),
            "option replicas must be from 0 to 10000");
  const auto empty_group = [](Writer& out) { out.map(1), out.str("io"), out.uint(0); };
  EXPECT_EQ(problem_with<ActorOptions>(one(12, empty_group)),
            "option groups must be from 1 to 1000000");
  const auto negative_gpu = [](Writer& out) { out.map(1), out.str("gpu"), out.f64(-1); };
  EXPECT_EQ(problem_with<ActorOptions>(one(20, negative_gpu)),
            "option resources must be a finite number of at least 0");
}

TEST(Options, BackoffNeedsAMinimumNotAboveItsMaximum) {
  const auto pair = [](std::int64_t min, std::int64_t max) {
    return one(9, [=](Writer& out) { out.array(2), out.integer(min), out.integer(max); });
  };
  EXPECT_EQ(problem_with<CallOptions>(pair(5, 5)), "");
  EXPECT_EQ(problem_with<CallOptions>(pair(6, 5)),
            "option backoff must be from 6 to 3153600000000");
  EXPECT_EQ(problem_with<CallOptions>(one(9, [](Writer& out) { out.array(0); })),
            "option backoff must be two numbers: min, max");
}

TEST(Options, ReferencesNameArgumentsInOrderAndOnlyRealCalls) {
  const auto refs = [](std::initializer_list<std::uint64_t> numbers) {
    return one(5, [=](Writer& out) {
      out.array(numbers.size());
      for (const std::uint64_t number : numbers) out.uint(number);
    });
  };
  EXPECT_EQ(problem_with<CallOptions>(refs({0, 5, 1, 1, 5, 1})), "");
  EXPECT_EQ(problem_with<CallOptions>(refs({1, 5, 1, 0, 5, 2})),
            "option refs must be in the order of the arguments");
  EXPECT_EQ(problem_with<CallOptions>(refs({1, 5, 1, 1, 5, 2})),
            "option refs must be in the order of the arguments");
  EXPECT_EQ(problem_with<CallOptions>(refs({0, 5})),
            "option refs must have a multiple of 3 values");
  EXPECT_EQ(problem_with<CallOptions>(refs({0, 5, 0})),
            "option refs must name calls as two numbers: session, seq (from 1)");
}

TEST(Options, ListsBeyondTheirBoundAreRefused) {
  const std::string refs = one(5, [](Writer& out) {
    out.array((limits::kRefsMax + 1) * 3);
    for (std::uint32_t i = 0; i <= limits::kRefsMax; ++i) out.uint(i), out.uint(5), out.uint(1);
  });
  EXPECT_EQ(problem_with<CallOptions>(refs), "option refs has more than 1024 entries");
  const std::string groups = one(12, [](Writer& out) {
    out.map(limits::kGroupsMax + 1);
    for (std::size_t i = 0; i <= limits::kGroupsMax; ++i) out.str("g"), out.uint(1);
  });
  EXPECT_EQ(problem_with<ActorOptions>(groups), "option groups has more than 64 entries");
  const std::string name = one(1, [](Writer& out) { out.str(std::string(201, 'n')); });
  EXPECT_EQ(problem_with<ActorOptions>(name), "option name is longer than 200 bytes");
}

TEST(Options, HeadersAreAMapOfTextAndBounded) {
  const auto headers = [](auto write_value) {
    return one(4, [&](Writer& out) { out.map(1), out.str("k"), write_value(out); });
  };
  EXPECT_EQ(problem_with<CallOptions>(headers([](Writer& out) { out.str("v"); })), "");
  EXPECT_EQ(problem_with<CallOptions>(headers([](Writer& out) { out.uint(1); })),
            "option headers must be a map of str to str");
  EXPECT_EQ(problem_with<CallOptions>(
                headers([](Writer& out) { out.str(std::string(limits::kHeaderBytesMax, 'v')); })),
            "option headers is longer than 8192 bytes");
}

TEST(Options, RetryOnTellsNoneAllAndListedApart) {
  const auto read_back = [](const RetryOn& value) {
    CallOptions options;
    options.retry_on = value;
    const std::string bytes = encoded(options);
    Reader in(bytes);
    std::string problem;
    EXPECT_TRUE(read(in, options, problem)) << problem;
    return *options.retry_on;
  };
  EXPECT_FALSE(read_back({RetryOn::Which::none, {}}).matches("std::exception"));
  EXPECT_TRUE(read_back({RetryOn::Which::all, {}}).matches("std::exception"));
  const RetryOn listed = read_back({RetryOn::Which::listed, {"a", "b"}});
  EXPECT_TRUE(listed.matches("b"));
  EXPECT_FALSE(listed.matches("c"));
  EXPECT_FALSE(RetryOn().matches("a"));
}

}  // namespace
}  // namespace callboard::wire
