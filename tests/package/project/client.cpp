// usage: client BROKER
#include "greeter.hpp"

#include <chrono>
#include <cstdio>

int main(int, char** argv) {
  using namespace std::chrono_literals;
  callboard::Client client(argv[1]);
  auto greeter = client.actor<Greeter>("hello");
  greeter.call<&Greeter::greet>("moon").get(20s);
  std::printf("%s\n", greeter.call<&Greeter::greet>("world").get(20s).c_str());
  std::printf("%d\n", client.call(twice_task, 21).get(20s));
}
