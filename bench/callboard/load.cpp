// Callboard's client in `bench/run`, with nothing but what users have.
//
// usage: bench_callboard --broker ENDPOINT [--work echo|timer|create] [--durability durable|memory]
//                        [options of bench/load/load.hpp]
//   echo    calls go to `actors` serial actors in turn; all clients share them
//   timer   the same with an async actor that waits for a timer of 1 ms
//   create  each call goes to an actor made for it, which is kept until the end
#include "bench/callboard/calls.hpp"
#include "bench/callboard/echo.hpp"

#include <algorithm>
#include <deque>
#include <stdexcept>

namespace bench {

namespace {

using callboard::Bytes;

/// Closed loop: results are taken in the order of the calls, a quarter of the window at least and
/// all that are there. `call(message)` gives a future.
template <class Call>
void keep_window(Flight& flight, const Call& call) {
  const auto window = flight.options().window;
  const auto kept = window - std::max<std::uint64_t>(window / 4, 1);
  std::deque<callboard::Future<Bytes>> waiting;
  while (!flight.all_landed()) {
    for (auto count = flight.may_send(); count > 0; --count) {
      waiting.push_back(call(Bytes{flight.next()}));
    }
    do {
      waiting.front().wait();
      land(flight, waiting.front().state().get());
      waiting.pop_front();
    } while (!waiting.empty() && (waiting.size() > kept || waiting.front().ready()));
  }
}

/// Open loop: this thread sends when it is time, results land in the client's own.
template <class Call>
void send_in_time(Flight& flight, const Call& call) {
  while (!flight.all_landed()) {
    for (auto count = flight.may_send(); count > 0; --count) {
      land_when_ready(flight, call(Bytes{flight.next()}));
    }
    flight.wait();
  }
}

template <class Call>
void fly(Flight& flight, const Call& call) {
  if (flight.options().rate > 0) return send_in_time(flight, call);
  keep_window(flight, call);
}

template <class Class>
void call_actors(callboard::Client& client, Flight& flight, const Measure& measure) {
  const auto& options = flight.options();
  std::vector<callboard::Actor<Class>> actors;
  for (std::uint32_t i = 0; i < options.actors; ++i) {
    auto actor = actor_options(options);
    actor.name = "bench-" + std::to_string(i);
    actor.get_if_exists = true;
    actors.push_back(client.actor<Class>(actor));
  }
  measure(flight, [&] {
    fly(flight, [&](Bytes message) {
      const auto& actor = actors[head_of(message.data).actor];
      return actor.template call<&Class::answer>(std::move(message));
    });
  });
}

void create_actors(callboard::Client& client, Flight& flight, const Measure& measure) {
  const auto options = actor_options(flight.options());
  std::vector<callboard::Actor<Echo>> kept;
  measure(flight, [&] {
    fly(flight, [&](Bytes message) {
      kept.push_back(client.actor<Echo>(options));
      return kept.back().call<&Echo::answer>(std::move(message));
    });
  });
}

void run_client(Flight& flight, const Measure& measure) {
  callboard::Client client(flight.options().need("broker"));
  const auto work = flight.options().get("work", "echo");
  if (work == "echo") return call_actors<Echo>(client, flight, measure);
  if (work == "timer") return call_actors<Timer>(client, flight, measure);
  if (work == "create") return create_actors(client, flight, measure);
  throw std::runtime_error("what is --work " + work + "?");
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto load = [](const bench::Options& options) {
    return bench::run_load(options, bench::run_client);
  };
  return bench::run_part(argc, argv, {{"", load}});
}
