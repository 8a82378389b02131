// Ray's C++ API in `bench/run`: one actor, called from a driver.
//
// usage: bench_ray --address HOST:PORT --library FILE [options of bench/load/load.hpp]
#include "bench/load/load.hpp"
#include "bench/peers/ray_actor.hpp"

#include <deque>
#include <string>

namespace bench {

namespace {

/// Results are taken in the order of the calls, as Ray's examples do it.
void fly(Flight& flight, ray::ActorHandle<RayEcho>& actor) {
  std::deque<ray::ObjectRef<std::string>> on_their_way;
  while (!flight.all_landed()) {
    for (auto count = flight.may_send(); count > 0; --count) {
      on_their_way.push_back(actor.Task(&RayEcho::answer).Remote(flight.next()));
    }
    if (on_their_way.empty()) continue;
    flight.landed(*on_their_way.front().Get());
    on_their_way.pop_front();
  }
}

void run_client(Flight& flight, const Measure& measure) {
  ray::RayConfig config;
  config.address = flight.options().need("address");
  config.code_search_path = {flight.options().need("library")};
  ray::Init(config);
  auto actor = ray::Actor(RayEcho::create).Remote();
  measure(flight, [&] { fly(flight, actor); });
}

int load(const Options& options) { return run_load(options, run_client); }

}  // namespace

}  // namespace bench

int main(int argc, char** argv) { return bench::run_part(argc, argv, {{"", bench::load}}); }
