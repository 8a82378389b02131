// The codec of messages: writing and reading frames of 100. Items are messages.
#include "common/messages.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

namespace {

using namespace callboard;
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

void count(benchmark::State& state) {
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kPerFrame);
}

template <class Make>
void BM_Write(benchmark::State& state, Make make) {
  const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
  wire::Frame frame;
  for (auto _ : state) {
    frame.head.clear();
    frame.parts.clear();
    FrameWriter out(frame, 1);
    for (std::uint32_t i = 0; i < kPerFrame; ++i) write(out, make(i + 1, bytes));
    benchmark::DoNotOptimize(frame.head.data());
  }
  count(state);
}

template <class Make>
void BM_Read(benchmark::State& state, Make make) {
  const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
  wire::Frame frame;
  FrameWriter out(frame, 1);
  for (std::uint32_t i = 0; i < kPerFrame; ++i) write(out, make(i + 1, bytes));
  for (auto _ : state) {
    FrameReader in(wire::FrameView{frame.head, frame.parts});
    std::uint64_t version = 0, epoch = 0, type = 0;
    std::uint32_t fields = 0;
    in.header(version, epoch);
    while (!in.at_end() && in.message(type, fields)) {
      decltype(make(1, bytes)) message;
      if (!read(in, fields, message)) return state.SkipWithError("it cannot be read");
      benchmark::DoNotOptimize(message);
    }
  }
  count(state);
}

BENCHMARK_CAPTURE(BM_Write, submit, submit_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Write, run, run_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Write, done, done_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Read, submit, submit_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Read, run, run_of)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(BM_Read, done, done_of)->Arg(64)->Arg(1024);

}  // namespace
