#include "bench/peers/ray_actor.hpp"
