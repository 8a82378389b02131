// A backlog: calls are submitted while no worker is there, and drained once there is one.
//
// usage: bench_backlog --broker ENDPOINT [--calls N] [--payload BYTES]
//                      [--durability durable|memory]
//
// It prints one line of JSON after each of its three steps, and then waits for a line on its
// standard input, so that whoever runs it can look at the others and start the worker:
//   connected   the actor is made, nothing is submitted
//   submitted   the broker has accepted all: the rate from the first call to the last acceptance
//   landed      all results are there and looked at: the rate from the first result to the last
#include "bench/callboard/calls.hpp"
#include "bench/callboard/echo.hpp"

#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

namespace bench {

namespace {

constexpr std::chrono::milliseconds kLookEvery{1};

std::uint64_t accepted(callboard::Client& client) {
  const auto stats = client.admin("stats").get().bytes;
  return nlohmann::json::from_msgpack(stats).at("accepted").get<std::uint64_t>();
}

double seconds_since(std::int64_t ns) {
  return static_cast<double>(now_ns() - ns) / 1e9;
}

/// Says what was done, and waits until told to go on.
void step(const std::string& said) {
  std::printf("%s\n", said.c_str());
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) throw std::runtime_error("nobody told it to go on");
}

std::string rate_text(double calls, double seconds) {
  return "\"seconds\": " + std::to_string(seconds) +
         ", \"calls_per_s\": " + std::to_string(calls / seconds);
}

void submit(callboard::Client& client, const callboard::Actor<Echo>& actor, Flight& flight) {
  const auto calls = flight.options().calls;
  const auto before = accepted(client);
  const auto began_ns = now_ns();
  for (std::uint64_t i = 0; i < calls; ++i) {
    land_when_ready(flight, actor.call<&Echo::answer>(callboard::Bytes{flight.next()}));
  }
  while (accepted(client) - before < calls) std::this_thread::sleep_for(kLookEvery);
  const auto seconds = seconds_since(began_ns);
  step("{\"submitted\": " + std::to_string(calls) + ", " +
       rate_text(static_cast<double>(calls), seconds) + "}");
}

int drain(const Options& options, Flight& flight, const Outcome& outcome) {
  const auto end_ns = now_ns() + std::chrono::nanoseconds(options.timeout).count();
  std::int64_t first_ns = 0;
  std::uint64_t first = 0;
  while (!flight.all_landed()) {
    if (now_ns() > end_ns) throw std::runtime_error("the backlog was not drained in time");
    // Results that came before somebody looked count for nothing.
    if (first == 0 && (first = flight.landed_so_far()) != 0) first_ns = now_ns();
    std::this_thread::sleep_for(kLookEvery);
  }
  const auto seconds = static_cast<double>(outcome.ended_ns - first_ns) / 1e9;
  step("{\"landed\": " + std::to_string(outcome.landed) +
       ", \"damaged\": " + std::to_string(outcome.damaged) +
       ", \"repeated\": " + std::to_string(outcome.repeated) + ", " +
       rate_text(static_cast<double>(options.calls - first), seconds) + "}");
  return outcome.damaged == 0 && outcome.repeated == 0 && outcome.landed == options.calls ? 0 : 1;
}

int run(Options options) {
  options.window = options.calls;
  callboard::Client client(options.need("broker"));
  auto actor_of = actor_options(options);
  actor_of.name = "backlog";
  const auto actor = client.actor<Echo>(actor_of);
  Outcome outcome;
  Flight flight(options, 0, outcome);
  flight.begin(options.calls, true);
  accepted(client);  // connected, and the actor is known
  step("{\"connected\": true}");
  submit(client, actor, flight);
  const int status = drain(options, flight, outcome);
  client.close();
  return status;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  return bench::run_part(argc, argv, {{"", bench::run}});
}
