#include "counter.hpp"
#include <callboard/registry.hpp>

Counter::Counter(int start) : total_(start) {}
int Counter::add(int n) { return total_ += n; }

CALLBOARD_LIBRARY(registry) { registry.add<Counter>(); }
