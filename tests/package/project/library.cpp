#include "greeter.hpp"

#include <callboard/registry.hpp>

CALLBOARD_LIBRARY(registry) { registry.add<Greeter>().add<twice_task>(); }
