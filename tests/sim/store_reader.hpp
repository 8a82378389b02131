// Reads the simulated store through the real loader: the same keys, page by page, in no order.
//
// Thread safety: none.
#pragma once

#include "broker/store/loader.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/store_model.hpp"

#include <cstdint>
#include <string>

namespace callboard::sim {

/// Gives every entry that the loader finds to `sink`. A non-empty answer says what went wrong.
std::string read_store(const StoreModel& store, Random& random, broker::StoreLoader::Sink sink,
                       std::uint64_t& entries);

}  // namespace callboard::sim
