// gearmand for `bench/run`, with its own C library on both sides.
//
// usage: bench_gearman echo --port N
//        bench_gearman load --port N [load options]
// The library runs a set of tasks until all are done, so a window is one set, and there is no open
// loop.
#include "bench/load/load.hpp"

#include <cstdlib>
#include <stdexcept>

#include <libgearman/gearman.h>

namespace bench {

namespace {

constexpr const char* kFunction = "bench-echo";

in_port_t port_of(const Options& options) {
  return static_cast<in_port_t>(std::stoul(options.need("port")));
}

gearman_return_t on_job(gearman_job_st* job, void* inspector) {
  std::string bytes(static_cast<const char*>(gearman_job_workload(job)),
                    gearman_job_workload_size(job));
  static_cast<Inspector*>(inspector)->answer(bytes.data(), bytes.size());
  return gearman_job_send_complete(job, bytes.data(), bytes.size());
}

gearman_return_t on_complete(gearman_task_st* task) {
  auto* flight = static_cast<Flight*>(gearman_task_context(task));
  flight->landed({static_cast<const char*>(gearman_task_data(task)), gearman_task_data_size(task)});
  return GEARMAN_SUCCESS;
}

int echo(const Options& options) {
  gearman_worker_st* worker = gearman_worker_create(nullptr);
  // The library sends the tasks of a set last one first.
  Inspector inspector(Inspector::Order::any);
  if (gearman_worker_add_server(worker, "127.0.0.1", port_of(options)) != GEARMAN_SUCCESS ||
      gearman_worker_define_function(worker, kFunction, std::char_traits<char>::length(kFunction),
                                     gearman_function_create(on_job), 0, &inspector) !=
          GEARMAN_SUCCESS) {
    throw std::runtime_error(gearman_worker_error(worker));
  }
  for (;;) gearman_worker_work(worker);
}

void load(Flight& flight, const Measure& measure) {
  gearman_client_st* client = gearman_client_create(nullptr);
  if (gearman_client_add_server(client, "127.0.0.1", port_of(flight.options())) !=
      GEARMAN_SUCCESS) {
    throw std::runtime_error(gearman_client_error(client));
  }
  gearman_client_set_complete_fn(client, on_complete);
  gearman_client_add_options(client, GEARMAN_CLIENT_FREE_TASKS);
  measure(flight, [&] {
    std::vector<std::string> messages;
    while (!flight.all_landed()) {
      messages.clear();
      for (auto count = flight.may_send(); count > 0; --count) messages.push_back(flight.next());
      for (const auto& message : messages) {
        gearman_return_t status = GEARMAN_SUCCESS;
        gearman_client_add_task(client, nullptr, &flight, kFunction, nullptr, message.data(),
                                message.size(), &status);
        if (status != GEARMAN_SUCCESS) throw std::runtime_error(gearman_client_error(client));
      }
      if (gearman_client_run_tasks(client) != GEARMAN_SUCCESS) {
        throw std::runtime_error(gearman_client_error(client));
      }
    }
  });
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto load = [](const bench::Options& options) {
    return bench::run_load(options, bench::load);
  };
  return bench::run_part(argc, argv, {{"echo", bench::echo}, {"load", load}});
}
