#include "greeter.hpp"

#include <callboard/worker.hpp>

int main(int argc, char** argv) {
  return callboard::worker_main(argc, argv, [](callboard::Registry& registry) {
    registry.add<Greeter>().add<twice_task>();
  });
}
