// A child process of `callboard worker`: the same program, started again by its supervisor.
// Thread safety: called from main(), before anything else.
#pragma once

namespace callboard::cli {

/// Runs the child that the environment describes. The exit status.
int run_worker_child();

}  // namespace callboard::cli
