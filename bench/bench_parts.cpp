// What the parts of the broker cost by themselves: the codec of messages, the list of a lane, the
// pipeline of commits. The core as a whole is in bench_core.cpp. Items are messages or calls.
#include "broker/core/queue.hpp"
#include "broker/store/pipeline.hpp"
#include "common/messages.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace {

using namespace callboard;
using namespace callboard::broker;
using wire::FrameReader;
using wire::FrameWriter;

constexpr std::uint32_t kPerFrame = 100;

wire::Submit submit_of(std::uint64_t seq, const std::string& args) {
  wire::Submit submit;
  submit.seq = seq;
  submit.handle = 1;
  submit.args.bytes = args;
  return submit;
}
wire::Run run_of(std::uint64_t lease, const std::string& args) {
  wire::Run run;
  run.lease = lease;
  run.slot = 1;
  run.attempt = 1;
  run.args.bytes = args;
  return run;
}
wire::Done done_of(std::uint64_t lease, const std::string& value) {
  wire::Done done;
  done.lease = lease;
  done.value.bytes = value;
  return done;
}

void count(benchmark::State& state, std::uint64_t each) {
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * each));
}

template <class Make>
void BM_Write(benchmark::State& state, Make make) {
  const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
  wire::Frame frame;
  for (auto _ : state) {
    frame.head.clear();
    frame.parts.clear();
    FrameWriter out(frame, 1);
    for (std::uint32_t i = 0; i < kPerFrame; ++i) write(out, make(i, bytes));
    benchmark::DoNotOptimize(frame.head.data());
  }
  count(state, kPerFrame);
}

template <class Make>
void BM_Read(benchmark::State& state, Make make) {
  const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
  wire::Frame frame;
  FrameWriter out(frame, 1);
  for (std::uint32_t i = 0; i < kPerFrame; ++i) write(out, make(i, bytes));
  for (auto _ : state) {
    FrameReader in(wire::FrameView{frame.head, frame.parts});
    std::uint64_t version = 0, epoch = 0, type = 0;
    std::uint32_t fields = 0;
    in.header(version, epoch);
    while (!in.at_end() && in.message(type, fields)) {
      decltype(make(0, bytes)) message;
      if (!read(in, fields, message)) return state.SkipWithError("it cannot be read");
      benchmark::DoNotOptimize(message);
    }
  }
  count(state, kPerFrame);
}

BENCHMARK_CAPTURE(BM_Write, submit, submit_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Write, run, run_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Write, done, done_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Read, submit, submit_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Read, run, run_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Read, done, done_of)->Arg(64)->Arg(1024);

/// A lane with `waiting` calls: one comes at its tail, one leaves at its head.
void BM_LaneInOrder(benchmark::State& state) {
  CallSlab slab;
  Lane lane;
  std::uint64_t number = 0;
  const auto add = [&] {
    Call& call = slab.make();
    call.number = ++number;
    lane.insert(call);
  };
  for (std::int64_t i = 0; i < state.range(0); ++i) add();
  for (auto _ : state) {
    add();
    Call& first = *lane.head;
    lane.remove(first);
    slab.free(first);
  }
  count(state, 1);
}
BENCHMARK(BM_LaneInOrder)->Arg(0)->Arg(1000)->Arg(1'000'000);

/// The call at the head comes back again and again, as after a retry.
void BM_LaneBackToHead(benchmark::State& state) {
  CallSlab slab;
  Lane lane;
  for (std::int64_t i = 1; i <= state.range(0); ++i) {
    Call& call = slab.make();
    call.number = static_cast<std::uint64_t>(i);
    lane.insert(call);
  }
  for (auto _ : state) {
    Call& first = *lane.head;
    lane.remove(first);
    lane.insert(first);
  }
  count(state, 1);
}
BENCHMARK(BM_LaneBackToHead)->Arg(10)->Arg(1000);

/// A commit of `calls` accepted calls of `queues` queues, from the batch to the answer.
void BM_Commit(benchmark::State& state) {
  const auto calls = static_cast<std::uint64_t>(state.range(0));
  const auto queues = static_cast<std::uint64_t>(state.range(1));
  const ScriptCommitWriter writer("callboard:{0}:");
  const std::string value(88, 'x');
  std::vector<std::string> names;
  for (std::uint64_t i = 0; i < queues; ++i) names.push_back("q:" + std::to_string(i) + ":calls");
  CommitPipeline pipeline(writer);
  pipeline.begin(0);
  ReplyReader reader;
  StoreBatch batch;
  OutBuffer out;
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    batch.clear();
    for (std::uint64_t i = 0; i < calls; ++i) {
      const auto key = batch.key(KeyKind::hash, names[i % queues]);
      batch.set(key, std::to_string(i), value);
    }
    pipeline.stage(batch, pipeline.committed() + 1);
    pipeline.write("0123456789012345678901234567890123456789", "token", out);
    bytes += out.view().size();
    out.clear();
    reader.feed("+COMMITTED\r\n");
    const auto answer = pipeline.on_reply(*reader.next());
    if (answer.kind != CommitAnswer::Kind::committed) return state.SkipWithError("refused");
    pipeline.collect();
  }
  count(state, calls);
  state.counters["B_per_call"] =
      static_cast<double>(bytes) / static_cast<double>(state.iterations() * calls);
}
BENCHMARK(BM_Commit)->Args({1, 1})->Args({100, 1})->Args({1000, 1})->Args({1000, 1000});

}  // namespace

BENCHMARK_MAIN();
