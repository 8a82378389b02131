// What libdemos.so offers to a worker that loads it.
#include "examples/backpressure/gate.hpp"
#include "examples/balancer/balancer.hpp"
#include "examples/depth/mill.hpp"
#include "examples/flags/fetcher.hpp"
#include "examples/offload/office.hpp"
#include "examples/order/ledger.hpp"
#include "examples/replicas/cruncher.hpp"
#include "examples/sleepers/sleepers.hpp"

#include <callboard/asio.hpp>
#include <callboard/registry.hpp>

CALLBOARD_LIBRARY(registry) {
  using namespace demos;
  registry.add<Cruncher>().add<Sleeper>().add<AsyncSleeper>().add<Fetcher>().add<AsyncFetcher>();
  registry.add<Ledger>().add<Backend>().add<Balancer>().add<Office>().add<crunch_task>();
  registry.add<Gate>().add<Mill>();
}
