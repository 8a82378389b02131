// What one call costs in the broker core alone: submit, send, done, result, taken; no I/O.
//
// Frames carry `per_frame` messages as under load. "durable" also builds and takes the store batch
// of every turn, but applies it nowhere. Items are calls.
#include "broker/core/broker.hpp"
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
using wire::Type;

/// A broker with one client (peer 1), one worker (peer 2) and `actors` actors in it.
class Turns {
 public:
  Turns(std::uint32_t actors, wire::Durability durability)
      : broker_(BrokerOptions(), 1), actors_(actors) {
    broker_.loaded(now_, effects_);
    send(2, [](FrameWriter& out) {
      wire::Hello hello;
      hello.role = wire::Role::worker;
      hello.name = "w";
      hello.session = 2;
      hello.instance = 2;
      hello.classes = {{"Echo", wire::Mode::serial, {"echo"}, {}}};
      write(out, hello);
    }, 0);
    send(1, [](FrameWriter& out) {
      wire::Hello hello;
      hello.session = 9;
      write(out, hello);
    }, 0);
    for (std::uint32_t i = 0; i < actors; ++i) {
      send(1, [&](FrameWriter& out) {
        wire::Create create;
        create.seq = ++seq_;
        create.handle = i;
        create.class_name = "Echo";
        create.args.bytes = "\x90";
        create.options.durability = durability;
        create.methods = {"echo"};
        write(out, create);
      });
    }
    turn();
    for (std::uint32_t slot = 1; slot <= actors; ++slot) {
      send(2, [&](FrameWriter& out) {
        write(out, wire::Started{slot, Errc::ok, {}});
        write(out, wire::Window{slot, 0, 100'000});
      });
    }
    turn();
  }

  /// `calls` calls there and back.
  void round(std::uint32_t calls) {
    const std::string args(64, 'x');
    send(1, [&](FrameWriter& out) {
      for (std::uint32_t i = 0; i < calls; ++i) {
        wire::Submit submit;
        submit.seq = ++seq_;
        submit.handle = static_cast<std::uint32_t>(seq_ % actors_);
        submit.args.bytes = args;
        write(out, submit);
      }
    });
    turn();
    send(2, [&](FrameWriter& out) {
      for (const std::uint64_t lease : leases_) {
        wire::Done done;
        done.lease = lease;
        done.value.bytes = args;
        write(out, done);
      }
    });
    leases_.clear();
    const std::uint64_t first = seq_ + 1 - calls;
    send(1, [&](FrameWriter& out) { write(out, wire::Taken{{{first, calls}}}); });
    turn();
  }

  std::size_t store_bytes = 0;

 private:
  template <class Write>
  void send(std::uint64_t peer, Write fill, std::uint64_t epoch = 1) {
    frame_.head.clear();
    frame_.parts.clear();
    FrameWriter out(frame_, epoch);
    fill(out);
    now_.mono_us += 10;
    broker_.step(now_, FrameArrived{PeerId{peer}, wire::FrameView{frame_.head, frame_.parts}},
                 effects_);
  }
  void turn() {
    while (broker_.has_batch()) {
      std::uint64_t number = 0;
      store_bytes += broker_.take_batch(number).bytes();
      broker_.step(now_, Committed{number}, effects_);
    }
    for (const auto& [peer, frames] : effects_.frames) {
      if (peer != PeerId{2}) continue;
      for (const auto& frame : frames) {
        FrameReader in(wire::FrameView{frame.head, frame.parts});
        std::uint64_t version = 0, epoch = 0, type = 0;
        std::uint32_t fields = 0;
        in.header(version, epoch);
        while (!in.at_end() && in.message(type, fields)) {
          if (type != static_cast<std::uint64_t>(Type::run)) {
            in.skip_fields(fields);
            continue;
          }
          wire::Run run;
          read(in, fields, run);
          leases_.push_back(run.lease);
        }
      }
    }
    effects_.clear();
  }

  Broker broker_;
  std::uint32_t actors_;
  Effects effects_;
  wire::Frame frame_;
  Instant now_{1000, 1000};
  std::uint64_t seq_ = 0;
  std::vector<std::uint64_t> leases_;
};

void BM_CoreCall(benchmark::State& state, wire::Durability durability) {
  const auto actors = static_cast<std::uint32_t>(state.range(0));
  const auto per_frame = static_cast<std::uint32_t>(state.range(1));
  Turns turns(actors, durability);
  for (auto _ : state) turns.round(per_frame);
  const auto calls = static_cast<std::int64_t>(state.iterations()) * per_frame;
  state.SetItemsProcessed(calls);
  state.counters["store_B_per_call"] =
      static_cast<double>(turns.store_bytes) / static_cast<double>(calls);
}

BENCHMARK_CAPTURE(BM_CoreCall, memory, wire::Durability::memory)
    ->Args({1, 100})->Args({1, 1000})->Args({1000, 1000});
BENCHMARK_CAPTURE(BM_CoreCall, durable, wire::Durability::durable)
    ->Args({1, 100})->Args({1, 1000})->Args({1000, 1000});

}  // namespace
