// Everything that a client, or a class that is called, needs. Opt-in beside it: asio.hpp
// (co_await), msgpack.hpp (types that msgpack-c packs), registry.hpp and worker.hpp (running a
// worker), embedded.hpp (a whole system of one's own).
#pragma once

#include <callboard/actor.hpp>
#include <callboard/client.hpp>
#include <callboard/context.hpp>
#include <callboard/description.hpp>
#include <callboard/error.hpp>
#include <callboard/future.hpp>
#include <callboard/ids.hpp>
#include <callboard/options.hpp>
#include <callboard/value.hpp>
