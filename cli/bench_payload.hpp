// Big arguments and results against a system, beside what one memcpy and ZeroMQ alone do.
// Thread safety: none.
#pragma once

#include "cli/bench.hpp"
#include "cli/connection.hpp"

namespace callboard::cli {

/// For 64 KiB, 1 MiB and 64 MiB: GB of arguments per second that only go in, that come back, that
/// one thread copies, and (where it is not too slow) that a raw relay echoes. Medians.
Json measure_payload(const Context& context, Connection& broker, const BenchOptions& options);

}  // namespace callboard::cli
