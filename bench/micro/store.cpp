// The way of a commit to Redis, without Redis: the journal before the hashes, and the pipeline.
// Items are calls.
#include "broker/store/journal.hpp"
#include "broker/store/pipeline.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace {

using namespace callboard;
using namespace callboard::broker;

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
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * calls));
  state.counters["B_per_call"] =
      static_cast<double>(bytes) / static_cast<double>(state.iterations() * calls);
}
BENCHMARK(BM_Commit)->Args({1, 1})->Args({100, 1})->Args({1000, 1})->Args({1000, 1000});

/// Calls that are accepted in one commit and end in the next: what the journal writes for them.
void BM_Journal(benchmark::State& state) {
  const auto calls = static_cast<std::uint64_t>(state.range(0));
  const std::int64_t settle_ms = state.range(1);
  const std::string value(88, 'x');
  Journal journal(settle_ms);
  Instant now{1000, 1000};
  StoreBatch batch;
  std::uint64_t commit_no = 0, number = 0, bytes = 0;
  const auto commit = [&] {
    now.mono_us += 1000;
    bytes += journal.write(now, batch, ++commit_no).bytes();
    batch.clear();
  };
  for (auto _ : state) {
    const auto first = number;
    const auto key = batch.key(KeyKind::hash, "q:echo:calls");
    for (; number < first + calls; ++number) batch.set(key, std::to_string(number), value);
    commit();
    const auto again = batch.key(KeyKind::hash, "q:echo:calls");
    for (auto ended = first; ended < number; ++ended) batch.erase(again, std::to_string(ended));
    commit();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(number));
  state.counters["B_per_call"] = static_cast<double>(bytes) / static_cast<double>(number);
}
BENCHMARK(BM_Journal)->ArgNames({"calls", "settle_ms"})->Args({1000, 50})->Args({1000, 0});

}  // namespace
