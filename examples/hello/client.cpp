#include "counter.hpp"
#include <cstdio>

int main() {
  callboard::Client client("tcp://127.0.0.1:7700");
  auto hits = client.actor<Counter>({.name = "hits", .get_if_exists = true}, 10);
  std::printf("%d\n", hits.call<&Counter::add>(1).get());
}
