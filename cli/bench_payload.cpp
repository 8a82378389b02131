// callboard bench payload: big arguments and results, beside a memcpy and a raw relay.
#include "cli/bench_payload.hpp"

#include "cli/bench_run.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"
#include "cli/latency.hpp"
#include "cli/relay.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

namespace callboard::cli {

namespace {

constexpr std::uint64_t kMiB = 1u << 20;
/// What is copied lies in so many bytes, many times what caches hold.
constexpr std::uint64_t kSourceBytes = 256 * kMiB;
/// Bytes on their way at once, but at least so many calls.
constexpr std::uint64_t kWindowBytes = 64 * kMiB;
constexpr std::uint64_t kWindowMin = 4;
constexpr std::uint64_t kWindowMax = 256;
/// Of where a value comes from and goes to, within pages: equal places cost some processors more.
constexpr std::uint64_t kApart = 1024;
constexpr std::uint64_t kRelayBytesMax = 4 * kMiB;

double per_second(std::uint64_t bytes, std::int64_t took_ns) {
  return static_cast<double>(bytes) / static_cast<double>(std::max<std::int64_t>(took_ns, 1));
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Values that were not touched for long when their turn comes.
class Sources {
 public:
  Sources() : bytes_(kSourceBytes, 's'), target_(kSourceBytes + kApart, 't') {}

  Buffer next(std::uint64_t bytes) {
    const std::uint64_t at = take(bytes);
    return {std::shared_ptr<const void>(std::shared_ptr<void>(), bytes_.data()),
            std::string_view(bytes_).substr(at, bytes)};
  }
  /// One thread copies so many values, each to where none of the last ones was.
  double copy(std::uint64_t bytes, std::uint64_t values) {
    const auto began_ns = latency_clock_ns();
    for (std::uint64_t i = 0; i < values; ++i) {
      const std::uint64_t at = take(bytes);
      std::memcpy(target_.data() + kApart + at, bytes_.data() + at, bytes);
    }
    return per_second(bytes * values, latency_clock_ns() - began_ns);
  }

 private:
  std::uint64_t take(std::uint64_t bytes) {
    if (at_ + bytes > kSourceBytes) at_ = 0;
    return std::exchange(at_, at_ + bytes);
  }

  std::string bytes_;
  std::string target_;
  std::uint64_t at_ = 0;
};

class Run {
 public:
  Run(Actor<Echo> actor, Sources& sources, std::uint64_t bytes)
      : actor_(std::move(actor)), sources_(sources), bytes_(bytes),
        window_(std::clamp(kWindowBytes / bytes, kWindowMin, kWindowMax)) {}

  std::uint64_t window() const { return window_; }
  /// Bytes per nanosecond (GB/s) of arguments, until all calls have ended.
  double in(std::uint64_t calls) {
    return fly(calls, [this](Buffer value) {
      return FutureBase(actor_.call<&Echo::take>(std::move(value)));
    });
  }
  double echo(std::uint64_t calls) {
    return fly(calls, [this](Buffer value) {
      return FutureBase(actor_.call<&Echo::pass>(std::move(value)));
    });
  }

 private:
  template <class Submit>
  double fly(std::uint64_t calls, const Submit& submit) {
    std::atomic<std::uint64_t> done{0};
    std::atomic<std::uint64_t> failed{0};
    const std::uint64_t refill = std::max<std::uint64_t>(window_ / 4, 1);
    const auto wait_for = [&](std::uint64_t ended) {
      for (auto now = done.load(); now < ended; now = done.load()) done.wait(now);
    };
    const auto began_ns = latency_clock_ns();
    for (std::uint64_t sent = 0; sent < calls; ++sent) {
      if (sent - done.load() >= window_) wait_for(sent - window_ + refill);
      const FutureBase future = submit(sources_.next(bytes_));
      const client::FutureState* state = future.state().get();
      detail::notify_when_ready(future.state(), [&done, &failed, state] {
        if (detail::status_of(state) != Errc::ok) failed.fetch_add(1);
        done.fetch_add(1);
        done.notify_one();
      });
    }
    wait_for(calls);
    const double speed = per_second(bytes_ * calls, latency_clock_ns() - began_ns);
    if (failed.load() > 0) throw Failure(ExitCode::failed, "calls failed");
    return speed;
  }

  Actor<Echo> actor_;
  Sources& sources_;
  std::uint64_t bytes_;
  std::uint64_t window_;
};

double relay_speed(std::uint64_t bytes, std::uint64_t calls, std::uint64_t window) {
  RelayOptions options;
  options.calls = calls;
  options.window = window;
  options.payload = bytes;
  return run_relay(options).calls_per_s * static_cast<double>(bytes) / 1e9;
}

Json measure_size(Run& run, Sources& sources, std::uint64_t bytes, std::uint64_t calls,
                  std::int64_t rounds) {
  std::vector<double> in;
  std::vector<double> echo;
  std::vector<double> copy;
  std::vector<double> relay;
  // Once for the segments and their pages: measured is what comes when they are there.
  run.echo(2 * run.window());
  sources.copy(bytes, kSourceBytes / bytes);
  for (std::int64_t i = 0; i < rounds; ++i) {
    throw_if_interrupted();
    copy.push_back(sources.copy(bytes, calls));
    in.push_back(run.in(calls));
    echo.push_back(run.echo(calls));
    if (bytes <= kRelayBytesMax) relay.push_back(relay_speed(bytes, calls, run.window()));
  }
  Json row = {{"bytes", bytes},
              {"in_gb_per_s", rounded(median(in))},
              {"echo_gb_per_s", rounded(median(echo))},
              {"memcpy_gb_per_s", rounded(median(copy))},
              {"relay_gb_per_s", nullptr},
              {"in_of_memcpy", rounded(median(in) / median(copy))},
              {"echo_of_memcpy", rounded(median(echo) / median(copy))},
              {"echo_of_relay", nullptr}};
  if (!relay.empty()) {
    row["relay_gb_per_s"] = rounded(median(relay));
    row["echo_of_relay"] = rounded(median(echo) / median(relay));
  }
  return row;
}

}  // namespace

Json measure_payload(const Context&, Connection& broker, const BenchOptions& options) {
  BenchOptions one = options;
  one.actors = 1;
  const auto actors = make_actors(broker, one);
  const Buffer probe(std::string(100'000, 'p'));
  if (actors.front().call<&Echo::pass>(probe).get() != probe) {
    throw Failure(ExitCode::failed, "an echo came back changed");
  }
  Sources sources;
  Json rows = Json::array();
  for (const std::uint64_t bytes : {64 * 1024ul, 1 * kMiB, 64 * kMiB}) {
    Run run(actors.front(), sources, bytes);
    const std::uint64_t calls = std::max<std::uint64_t>(options.bytes / bytes, 8);
    rows.push_back(measure_size(run, sources, bytes, calls, options.rounds));
  }
  return {{"bench", "payload"}, {"durability", options.durability}, {"rounds", options.rounds},
          {"rows", rows}};
}

}  // namespace callboard::cli
