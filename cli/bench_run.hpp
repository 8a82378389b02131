// One measured run of calls against a system: who takes part, how fast, at whose cost.
// Thread safety: none.
#pragma once

#include "cli/bench.hpp"
#include "cli/connection.hpp"
#include "cli/echo.hpp"

#include <callboard/actor.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace callboard::cli {

/// The processes that work for a run, by role, as far as they can be seen from here.
class Participants {
 public:
  /// Asks the broker who it is, who its store is, and who its workers are.
  explicit Participants(Connection& broker);

  /// Notes the processor time that all have used so far.
  void begin();
  /// Microseconds since begin() divided by `calls`, by role: client, broker, redis, workers. Null
  /// for what cannot be seen.
  Json cpu_us_per_call(std::uint64_t calls) const;

 private:
  std::map<std::string, std::vector<std::int64_t>> pids_;
  std::map<std::string, std::optional<double>> before_;

  std::optional<double> used(const std::string& role) const;
};

/// A bar on the terminal that is overwritten; nothing when stderr is no terminal.
class Progress {
 public:
  explicit Progress(std::uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap: draws a few times a second only.
  void show(std::uint64_t done);

 private:
  std::uint64_t total_;
  std::int64_t began_us_;
  std::int64_t next_us_ = 0;
  bool visible_;
};

/// The actors that the calls go to, each of which has answered once. A name in `common` is the
/// beginning of theirs. Throws Failure when no worker runs them or their echo is wrong.
std::vector<Actor<Echo>> make_actors(Connection& broker, const BenchOptions& options,
                                     const ActorOptions& common = {});

/// Measures from submit to result. The figures of bench.hpp, without the relay.
Json measure_roundtrip(const Context& context, Connection& broker, const BenchOptions& options);

/// Measures how fast the broker accepts calls whose results nobody wants.
Json measure_submit(const Context& context, Connection& broker, const BenchOptions& options);

/// Measures the peak, and then what is left of it when several times as much is asked.
Json measure_overload(const Context& context, Connection& broker, const BenchOptions& options);

}  // namespace callboard::cli
