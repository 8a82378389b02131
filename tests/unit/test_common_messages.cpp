// Every message: its layout, that what was written is read, and that damaged ones fail cleanly.

#include "tests/unit/message_samples.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <new>
#include <random>
#include <set>

namespace {

// Bytes that operator new has given since the program began: readers are held to a bound.
std::atomic<std::size_t> allocated{0};
std::atomic<std::size_t> allocations{0};

}  // namespace

// Not inlined: the compiler would see malloc() on one side and delete on the other, and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  allocated += bytes;
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
// ZeroMQ asks for it, and gives back to the delete below.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  allocated += bytes;
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace callboard::wire {
namespace {

FrameView view_of(const Frame& frame) { return {frame.head, frame.parts}; }

// What each sample looks like on the wire, as msgpack-c prints it.
const std::map<std::string, std::string> kLayouts = {
    {"hello", R"([1,1,1,0,{"name":"example","session":5}])"},
    {"hello of a worker",
     R"([1,1,1,0,{"role":1,"name":"worker-0","host":"box","pid":123,"session":9,"resume":true,)"
     R"("acked_through":4,"timeline":2,"commit_no":50,"epoch_seen":7,"instance":77,)"
     R"("supervisor":"box","task_slots":3,)"
     R"x("classes":[["Counter",1,["add","get"],["int(int)","int()"]]],"tasks":["resize"],)x"
     R"("held_actors":[[5,1,6,2]],"held_calls":[[31,5,8,1,5,1,6,true]]}])"},
    {"welcome",
     R"([2,1,0,7,{"broker":"broker","timeline":2,"commit_no":51,"heartbeat_ms":400,)"
     R"("lease_ms":1900,"shards":[[0,["tcp:\/\/127.0.0.1:7700"]]],"accepted_through":12,)"
     R"("refused":[10,11]}])"},
    {"goodbye", R"([3,22,"too new"])"},
    {"who", "[4]"},
    {"ping", "[5,11]"},
    {"pong", "[6,11,51]"},
    {"memory", R"([7,"callboard-shm-77-5-1",300])"},
    {"open", R"([32,3,1,5,1,"hits",["add","get"]])"},
    {"methods", R"([33,3,["reset"]])"},
    {"close", "[34,3]"},
    {"create", R"([35,1,3,"Counter",bin(4),{1:"hits",6:1},["add"]])"},
    {"submit", "[36,2,3,1,bin(4),{1:2000}]"},
    {"submit without options", "[36,2,3,1,bin(4),null]"},
    {"submit of a big value", "[36,2,3,1,null,null]"},
    {"taken", "[37,[1,3,5,1]]"},
    {"cancel", "[38,5,2,true]"},
    {"resume", "[39,3,2]"},
    {"kill", "[40,21,3,true]"},
    {"waiting", "[41,5,2,9,4,true]"},
    {"admin", R"([42,21,"queue.ls",{"k":1}])"},
    {"opened", R"([48,3,11,"no such actor",5,1,"hits","Counter",0,1,false])"},
    {"accepted", "[49,12,[10,2],51]"},
    {"refused", R"([50,2,8,"full",100,16])"},
    {"result", "[51,2,0,bin(1)]"},
    {"result with an error", "[51,2,1,bin(50)]"},
    {"cancel_answer", "[52,5,2,3]"},
    {"parked", "[53,3,2]"},
    {"room", "[54,3,16]"},
    {"admin_answer", R"([55,21,30,{"k":1}])"},
    {"start", R"([64,2,5,1,6,"Counter","hits",bin(4),{1:"hits",6:1}])"},
    {"stop", "[65,2,true]"},
    {"method_table", R"([66,2,["add","get"]])"},
    {"run", "[67,31,2,1,5,8,3,1990,bin(4),{1:2000}]"},
    {"forget", "[68,[31,2]]"},
    {"revoke", "[69,31,true,6]"},
    {"go_on", "[70,2,true]"},
    {"started", "[80,2,13,bin(4)]"},
    {"done", "[81,31,0,bin(1),false]"},
    {"done with an error", "[81,31,1,bin(50),true]"},
    {"done with a big value", "[81,31,0,null,false]"},
    {"window", "[82,2,1,64]"},
    {"returned", "[83,31,6]"},
    {"revoke_answer", "[84,31,0]"},
    {"status", R"([86,{"k":1}])"},
    {"child_died",
     R"([87,"worker-0",77,123,11,-1,bin(18),[[31,5,8,1,5,1,6,false]],5,8])"},
    {"stopped", "[88,2]"},
};

TEST(Messages, EveryMessageHasItsDocumentedLayout) {
  for (const Sample& sample : samples()) {
    ASSERT_TRUE(kLayouts.contains(sample.name)) << sample.name;
    EXPECT_EQ(text_of(frame_of(sample)), kLayouts.at(sample.name)) << sample.name;
  }
  EXPECT_EQ(kLayouts.size(), samples().size());
}

TEST(Messages, EveryMessageIsReadAsItWasWritten) {
  for (const Sample& sample : samples()) {
    const Frame frame = frame_of(sample);
    Frame copy;
    ASSERT_TRUE(copy_frame(view_of(frame), copy)) << sample.name;
    EXPECT_EQ(copy.head, frame.head) << sample.name;
    ASSERT_EQ(copy.parts.size(), frame.parts.size()) << sample.name;
    for (std::size_t i = 0; i < copy.parts.size(); ++i) {
      EXPECT_EQ(copy.parts[i].view().data(), frame.parts[i].view().data()) << "it was copied";
    }
  }
}

TEST(Messages, ManyMessagesShareOneFrameAndPartsKeepTheirOrder) {
  Frame frame;
  FrameWriter out(frame, kSampleEpoch);
  for (const Sample& sample : samples()) sample.write(out);
  ASSERT_EQ(frame.parts.size(), 2u);
  EXPECT_EQ(frame.parts[0].view().front(), 'a');
  EXPECT_EQ(frame.parts[1].view().front(), 'b');
  Frame copy;
  ASSERT_TRUE(copy_frame(view_of(frame), copy));
  EXPECT_EQ(copy.head, frame.head);
  EXPECT_EQ(copy.parts[0].view(), frame.parts[0].view());
  EXPECT_EQ(copy.parts[1].view(), frame.parts[1].view());
}

TEST(Messages, EveryTruncationFails) {
  for (const Sample& sample : samples()) {
    const Frame frame = frame_of(sample);
    Frame header;
    FrameWriter(header, kSampleEpoch);
    for (std::size_t length = 0; length < frame.head.size(); ++length) {
      if (length == header.head.size()) continue;  // a frame without messages is a frame
      // Exactly as large as what is left, so that a sanitizer sees one byte too far.
      const std::vector<char> cut(frame.head.begin(),
                                  frame.head.begin() + static_cast<std::ptrdiff_t>(length));
      Frame copy;
      EXPECT_FALSE(copy_frame({{cut.data(), cut.size()}, frame.parts}, copy))
          << sample.name << " cut to " << length;
    }
  }
}

TEST(Messages, AMissingPartFails) {
  for (const char* name : {"submit of a big value", "done with a big value"}) {
    const Frame frame = frame_of(sample(name));
    Frame copy;
    EXPECT_FALSE(copy_frame({frame.head, {}}, copy)) << name;
  }
}

TEST(Messages, MessagesWithTooFewFieldsFail) {
  for (const Sample& sample : samples()) {
    if (sample.type == Type::who) continue;  // it has none
    Frame frame;
    FrameWriter out(frame, kSampleEpoch);
    out.message(static_cast<std::uint8_t>(sample.type), 0);
    Frame copy;
    EXPECT_FALSE(copy_frame(view_of(frame), copy)) << sample.name;
  }
}

TEST(Messages, FieldsThatANewerPeerAddsAtTheEndAreSkipped) {
  for (const Sample& sample : samples()) {
    Frame frame = frame_of(sample);
    Frame header;
    FrameWriter(header, kSampleEpoch);
    // The message's first byte is its array header, all have fewer than 14 fields.
    ASSERT_EQ(frame.head[header.head.size()] & 0xf0, 0x90) << sample.name;
    ++frame.head[header.head.size()];
    frame.head += "\x92\xa3new\xc3";
    Frame copy;
    EXPECT_TRUE(copy_frame(view_of(frame), copy)) << sample.name;
    EXPECT_EQ(copy.head, frame_of(sample).head) << sample.name;
  }
}

TEST(Messages, MutatedFramesNeverCrashAndNeverTakeMoreMemoryThanTheirBytesJustify) {
  std::mt19937_64 random(20260701);
  std::size_t good = 0;
  std::size_t bad = 0;
  for (int round = 0; round < 600; ++round) {
    for (const Sample& sample : samples()) {
      Frame frame = frame_of(sample);
      const std::size_t mutations = 1 + random() % 4;
      for (std::size_t i = 0; i < mutations; ++i) {
        const std::size_t at = random() % frame.head.size();
        switch (random() % 4) {
          case 0: frame.head[at] = static_cast<char>(random()); break;
          case 1: frame.head[at] = static_cast<char>(frame.head[at] ^ (1 << random() % 8)); break;
          case 2: frame.head.insert(at, 1, static_cast<char>(random())); break;
          default: frame.head.erase(at, 1 + random() % 3); break;
        }
        if (frame.head.empty()) break;
      }
      const std::vector<char> exact(frame.head.begin(), frame.head.end());
      const std::size_t before = allocated;
      Frame copy;
      const bool read = copy_frame({{exact.data(), exact.size()}, frame.parts}, copy);
      EXPECT_LT(allocated - before, 16'384 + 64 * exact.size()) << sample.name;
      ++(read ? good : bad);
    }
  }
  EXPECT_GT(good, 1000u) << "mutations that are never accepted reach only the first check";
  EXPECT_GT(bad, 1000u);
}

TEST(Messages, ClaimedCountsReserveNothing) {
  // Lists that say they have four thousand million entries, in each place where a list may stand.
  const std::string claim("\xdd\xff\xff\xff\xff", 5);
  for (const Sample& sample : samples()) {
    const Frame frame = frame_of(sample);
    for (std::size_t at = 2; at < frame.head.size(); ++at) {
      if ((frame.head[at] & 0xf0) != 0x90) continue;
      Frame lying = frame;
      lying.head.replace(at, 1, claim);
      const std::size_t before = allocated;
      Frame copy;
      EXPECT_FALSE(copy_frame(view_of(lying), copy)) << sample.name << " at " << at;
      EXPECT_LT(allocated - before, 16'384u) << sample.name << " at " << at;
    }
  }
}

TEST(Messages, NestingBombsAreRefusedWhereverAValueIsSkipped) {
  const std::string bomb(100'000, '\x91');
  for (const std::string_view head : {std::string_view("\x96\x24\x01\x00\x00\xc4\x00", 7),
                                      std::string_view("\x94\x2a\x01\xa1x", 5),
                                      std::string_view("\x92\x56", 2)}) {
    Frame frame;
    FrameWriter out(frame, kSampleEpoch);
    out.raw(head);
    out.raw(bomb);
    Frame copy;
    EXPECT_FALSE(copy_frame(view_of(frame), copy));
  }
}

TEST(Messages, CallsAndResultsAreReadWithoutAllocating) {
  Frame frame;
  FrameWriter out(frame, kSampleEpoch);
  for (int i = 0; i < 100; ++i) {
    for (const char* name : {"submit", "run", "done", "result"}) sample(name).write(out);
  }
  const std::size_t before = allocations;
  FrameReader in(view_of(frame));
  std::uint64_t version = 0;
  std::uint64_t epoch = 0;
  ASSERT_TRUE(in.header(version, epoch));
  int read_messages = 0;
  while (!in.at_end()) {
    std::uint64_t type = 0;
    std::uint32_t fields = 0;
    ASSERT_TRUE(in.message(type, fields));
    Submit submit;
    wire::Run run;
    Done done;
    CallResult result;
    switch (static_cast<Type>(type)) {
      case Type::submit: ASSERT_TRUE(read(in, fields, submit)); break;
      case Type::run: ASSERT_TRUE(read(in, fields, run)); break;
      case Type::done: ASSERT_TRUE(read(in, fields, done)); break;
      default: ASSERT_TRUE(read(in, fields, result)); break;
    }
    ++read_messages;
  }
  EXPECT_EQ(read_messages, 400);
  EXPECT_EQ(allocations, before);
}

bool readable(const Frame& frame) {
  Frame copy;
  return copy_frame(view_of(frame), copy);
}

template <class Message>
bool readable(const Message& message) {
  Frame frame;
  FrameWriter out(frame, kSampleEpoch);
  write(out, message);
  return readable(frame);
}

TEST(Messages, NamesAndCountsBeyondTheirLimitsFail) {
  const std::string longest(limits::kNameBytesMax, 'n');
  const std::string too_long = longest + "n";
  const auto open = [](std::uint32_t handle, std::string target, std::string method) {
    return Open{handle, TargetKind::name, {}, std::move(target), {std::move(method)}};
  };
  EXPECT_TRUE(readable(open(1, longest, longest)));
  EXPECT_TRUE(readable(open(1, longest + "/" + longest, "m")));
  EXPECT_FALSE(readable(open(1, too_long + "/" + longest, "m")));
  EXPECT_FALSE(readable(open(1, "a", too_long)));
  EXPECT_FALSE(readable(open(limits::kHandlesMax + 1, "a", "m")));

  const std::vector<std::string> most(limits::kMethodsMax, "m");
  std::vector<std::string> too_many = most;
  too_many.emplace_back("m");
  EXPECT_TRUE(readable(Methods{1, most}));
  EXPECT_FALSE(readable(Methods{1, too_many}));
  EXPECT_FALSE(readable(MethodTable{1, too_many}));

  Hello hello;
  hello.session = 2;
  hello.name = longest;
  EXPECT_TRUE(readable(hello));
  hello.name = too_long;
  EXPECT_FALSE(readable(hello));
  hello.name.clear();
  hello.tasks = too_many;
  EXPECT_FALSE(readable(hello));
  hello.tasks.clear();
  hello.held_calls.resize(limits::kRecorderSlots);
  EXPECT_TRUE(readable(hello));
  hello.held_calls.emplace_back();
  EXPECT_FALSE(readable(hello));
}

TEST(Messages, NumbersThatMakeNoSenseFail) {
  EXPECT_FALSE(readable(Submit{0, 1, 0, {}, {}})) << "seq counts from 1";
  EXPECT_FALSE(readable(Create{0, 1, "Counter", {}, {}, {}}));
  EXPECT_FALSE(readable(Submit{1, limits::kHandlesMax + 1, 0, {}, {}}));
  EXPECT_FALSE(readable(Submit{1, 1, 0, {}, "\x91\x01"})) << "options are a map";
  EXPECT_FALSE(readable(wire::Run{1, 0, 0, {}, 1, INT64_MIN, {}, {}}));
  EXPECT_FALSE(readable(Taken{{{1, 0}}})) << "an empty range";
  EXPECT_FALSE(readable(Taken{{{UINT64_MAX, 2}}})) << "a range beyond the end of numbers";
  EXPECT_FALSE(readable(Window{1, limits::kGroupsMax + 1, 5}));
  EXPECT_FALSE(readable(RevokeAnswer{1, static_cast<CancelAnswer>(7)}));
}

TEST(Messages, ErrorCodesOfANewerPeerAreKept) {
  Frame frame;
  FrameWriter out(frame, kSampleEpoch);
  write(out, CallResult{1, static_cast<Errc>(200), {}});
  Frame copy;
  ASSERT_TRUE(copy_frame(view_of(frame), copy));
  EXPECT_EQ(copy.head, frame.head);
  EXPECT_EQ(name_of(static_cast<Errc>(200)), "unknown");
}

TEST(Messages, AnOptionThatMakesNoSenseSpoilsOnlyItsMessage) {
  Frame frame;
  FrameWriter out(frame, kSampleEpoch);
  ActorOptions options;
  options.max_concurrency = limits::kConcurrencyMax + 1;
  write(out, Create{1, 3, "Counter", {}, options, {"add"}});
  write(out, Close{3});
  FrameReader in(view_of(frame));
  std::uint64_t type = 0;
  std::uint32_t fields = 0;
  Create create;
  std::string problem;
  ASSERT_TRUE(in.header(type, type) && in.message(type, fields));
  EXPECT_TRUE(read(in, fields, create, problem));
  EXPECT_EQ(problem, "option max_concurrency must be from 0 to 1000000");
  EXPECT_EQ(create.methods, std::vector<std::string>{"add"});
  ASSERT_TRUE(in.message(type, fields));
  EXPECT_EQ(static_cast<Type>(type), Type::close);
}

TEST(Messages, NumbersAreNamedAsFewRanges) {
  std::vector<std::uint64_t> numbers = {9, 1, 2, 2, 3, 7, 8};
  EXPECT_EQ(ranges_of(numbers), (Ranges{{1, 3}, {7, 3}}));
  numbers.clear();
  EXPECT_TRUE(ranges_of(numbers).empty());
}

TEST(Messages, ManyNumbersInAnyOrderAreNamedAsFewRanges) {
  std::mt19937_64 random(7);
  // How far apart they may lie: close together, at the bound of what is marked, far apart.
  for (const std::uint64_t places : {1, 64, 700, 1600, 3200, 1'000'000}) {
    for (int round = 0; round < 20; ++round) {
      const std::uint64_t base = round % 2 == 0 ? random() / 2 : UINT64_MAX - places;
      std::set<std::uint64_t> all;
      std::vector<std::uint64_t> numbers;
      for (int i = 0; i < 200; ++i) {
        numbers.push_back(base + random() % places);
        all.insert(numbers.back());
      }
      const Ranges ranges = ranges_of(numbers);
      std::set<std::uint64_t> named;
      std::uint64_t end = 0;
      for (const auto& [first, count] : ranges) {
        EXPECT_TRUE(&ranges.front().first == &first || first > end) << "as few as there can be";
        for (std::uint64_t i = 0; i < count; ++i) named.insert(first + i);
        end = first + count;
      }
      EXPECT_EQ(named, all) << places << " places from " << base;
    }
  }
}

}  // namespace
}  // namespace callboard::wire
