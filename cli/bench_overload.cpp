// callboard bench overload: what is left of the peak when far more is asked than can be done.
#include "cli/bench_run.hpp"

#include "cli/context.hpp"
#include "cli/cpu.hpp"
#include "cli/echo.hpp"
#include "cli/exit_code.hpp"
#include "cli/latency.hpp"

#include <callboard/client.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace callboard::cli {

namespace {

constexpr std::chrono::milliseconds kTick{2};
constexpr std::chrono::milliseconds kSampleEvery{100};
constexpr std::chrono::seconds kSettle{1};  ///< before a phase is measured
constexpr std::chrono::seconds kPatience{60};
/// One call in so many is timed, and its error read: what the bench does itself is taken from what
/// it measures.
constexpr std::uint64_t kTimedEvery = 16;

/// Calls, by what became of them.
struct Sums {
  std::uint64_t sent = 0, ok = 0, refused = 0, failed = 0, without_hint = 0;

  Sums& operator+=(const Sums& other) {
    sent += other.sent;
    ok += other.ok;
    refused += other.refused;
    failed += other.failed;
    without_hint += other.without_hint;
    return *this;
  }
  Sums operator-(const Sums& before) const {
    return {sent - before.sent, ok - before.ok, refused - before.refused, failed - before.failed,
            without_hint - before.without_hint};
  }
};

/// Counts of one thread, which others read.
class Count {
 public:
  void add() { value_.store(*this + 1, std::memory_order_relaxed); }
  operator std::uint64_t() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

bool is_full(Errc status) {
  return status == Errc::queue_full || status == Errc::refused_before ||
         status == Errc::store_full || status == Errc::store_unavailable;
}

/// What has become of calls, as one thread saw it.
class Outcomes {
 public:
  Count ok, refused, failed, without_hint;

  std::uint64_t all() const { return ok + refused + failed; }
  void landed(const detail::StatePtr& state, std::int64_t sent_ns) {
    const Errc status = detail::status_of(state.get());
    const bool full = is_full(status);
    (status == Errc::ok ? ok : full ? refused : failed).add();
    if (sent_ns == 0) return;
    if (status == Errc::queue_full && FutureBase(state).error()->retry_after_ms == 0) {
      without_hint.add();
    }
    if (!full && status != Errc::ok) return;
    const auto took_ns = latency_clock_ns() - sent_ns;
    const std::lock_guard lock(mutex_);
    (full ? refusals_ : results_).add(took_ns);
  }
  void forget_latencies() {
    const std::lock_guard lock(mutex_);
    results_ = Latencies(0);
    refusals_ = Latencies(0);
  }
  void merge_into(Latencies& results, Latencies& refusals) {
    const std::lock_guard lock(mutex_);
    results.merge(results_);
    refusals.merge(refusals_);
  }

 private:
  std::mutex mutex_;
  Latencies results_{0}, refusals_{0};
};

/// What has become of the calls of one submitter.
struct Tally {
  Count sent;           ///< its own thread counts
  Outcomes at_once;     ///< what its own thread saw: calls that the client refused by itself
  Outcomes later;       ///< what its client's thread saw

  std::uint64_t open() const { return sent - at_once.all() - later.all(); }
  Sums sums() const {
    return {sent, at_once.ok + later.ok, at_once.refused + later.refused,
            at_once.failed + later.failed, at_once.without_hint + later.without_hint};
  }
  void begin() {
    at_once.forget_latencies();
    later.forget_latencies();
  }
};

/// One client with handles of all actors.
class Submitter {
 public:
  Submitter(const std::string& endpoint, const std::vector<std::string>& actors,
            const BenchOptions& options)
      : client_(endpoint), payload_{std::string(options.payload, 'x')}, work_us_(options.work_us) {
    for (const auto& name : actors) actors_.push_back(client_.get_actor<Echo>(name));
  }
  void submit() {
    const auto sent_ns = next_ % kTimedEvery == 0 ? latency_clock_ns() : 0;
    tally_->sent.add();
    const auto& actor = actors_[next_++ % actors_.size()];
    const auto future = work_us_ == 0 ? actor.call<&Echo::echo>(payload_)
                                      : actor.call<&Echo::work>(payload_, work_us_);
    if (future.ready()) return tally_->at_once.landed(future.state(), sent_ns);
    detail::notify_when_ready(future.state(), [tally = tally_, sent_ns, raw = future.state()] {
      tally->later.landed(raw, sent_ns);
    });
  }
  /// Submits so many; what is left of a call is added to the next time.
  void owe(double calls) {
    for (owed_ += calls; owed_ >= 1; --owed_) submit();
  }
  Tally& tally() { return *tally_; }

 private:
  Client client_;
  Bytes payload_;
  std::int64_t work_us_;
  std::vector<Actor<Echo>> actors_;
  std::uint64_t next_ = 0;
  double owed_ = 0;
  std::shared_ptr<Tally> tally_ = std::make_shared<Tally>();
};

class Overload {
 public:
  Overload(Connection& broker, const BenchOptions& options) : broker_(broker), options_(options) {
    ActorOptions common;
    common.name = "bench-overload-" + std::to_string(latency_clock_ns());
    common.max_pending = std::max<std::uint64_t>(2 * options.window / options.actors, 2);
    actors_ = make_actors(broker, options, common);
    std::vector<std::string> names;
    for (const auto& actor : actors_) names.push_back(actor.name());
    for (std::uint64_t i = 0; i < options.clients; ++i) {
      submitters_.push_back(std::make_unique<Submitter>(broker.endpoint(), names, options));
    }
    broker_pid_ = broker.ask("health").value("pid", std::int64_t{0});
  }
  ~Overload() {
    for (const auto& actor : actors_) Connection::wait(actor.kill(), kPatience);
  }

  /// Keeps the window full; calls per second.
  double peak() {
    return run([&](Submitter& submitter, double) {
      const std::uint64_t window = std::max<std::uint64_t>(options_.window / options_.clients, 1);
      while (submitter.tally().open() < window) submitter.submit();
    });
  }
  /// Submits at a rate, whatever comes back.
  double flood(double per_s) {
    const double each = per_s / static_cast<double>(options_.clients);
    return run([each](Submitter& submitter, double seconds) { submitter.owe(each * seconds); });
  }
  const Sums& sums() const { return sums_; }
  double took_s() const { return took_s_; }
  void merge_into(Latencies& results, Latencies& refusals) {
    for (auto& each : submitters_) {
      each->tally().at_once.merge_into(results, refusals);
      each->tally().later.merge_into(results, refusals);
    }
  }
  double broker_mib() const { return broker_mib_; }  ///< the most that was seen in the last phase

 private:
  Sums count() {
    Sums out;
    for (auto& each : submitters_) out += each->tally().sums();
    return out;
  }
  /// `turn` submits for each submitter, every kTick, in a thread of its own. Calls per second that
  /// ended well.
  template <class Turn>
  double run(const Turn& turn) {
    {
      std::vector<std::jthread> threads;
      for (auto& each : submitters_) {
        threads.emplace_back([&turn, submitter = each.get()](const std::stop_token& stop) {
          auto last = latency_clock_ns();
          while (!stop.stop_requested()) {
            std::this_thread::sleep_for(kTick);
            const auto now = latency_clock_ns();
            turn(*submitter, static_cast<double>(now - last) / 1e9);
            last = now;
          }
        });
      }
      std::this_thread::sleep_for(kSettle);
      measure();
    }
    drain();
    return static_cast<double>(sums_.ok) / took_s_;
  }
  void measure() {
    for (auto& each : submitters_) each->tally().begin();
    const Sums before = count();
    const auto began_ns = latency_clock_ns();
    watch(began_ns + options_.seconds * 1'000'000'000);
    const Sums after = count();
    took_s_ = static_cast<double>(latency_clock_ns() - began_ns) / 1e9;
    sums_ = after - before;
  }
  void watch(std::int64_t until_ns) {
    broker_mib_ = 0;
    while (latency_clock_ns() < until_ns) {
      throw_if_interrupted();
      broker_mib_ = std::max(broker_mib_, memory_of(broker_pid_).value_or(0) / 1048576);
      std::this_thread::sleep_for(kSampleEvery);
    }
  }
  void drain() {
    const auto until_ns = latency_clock_ns() + std::chrono::nanoseconds(kPatience).count();
    const auto open = [this] {
      std::uint64_t sum = 0;
      for (auto& each : submitters_) sum += each->tally().open();
      return sum;
    };
    while (open() > 0 && latency_clock_ns() < until_ns) std::this_thread::sleep_for(kTick);
    if (open() > 0) throw Failure(ExitCode::failed, "calls were never answered");
  }

  Connection& broker_;
  const BenchOptions& options_;
  std::vector<Actor<Echo>> actors_;
  std::vector<std::unique_ptr<Submitter>> submitters_;
  std::int64_t broker_pid_ = 0;
  Sums sums_;
  double took_s_ = 0;
  double broker_mib_ = 0;
};

struct Round {
  double peak = 0, goodput = 0;
  double percent() const { return goodput / peak * 100; }
};

template <class Member>
double median(const std::vector<Round>& rounds, const Member& member) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(std::invoke(member, round));
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

Json percent_of_each(const std::vector<Round>& rounds) {
  Json out = Json::array();
  for (const Round& round : rounds) out.push_back(rounded(round.percent()));
  return out;
}

}  // namespace

Json measure_overload(const Context&, Connection& broker, const BenchOptions& options) {
  Overload overload(broker, options);
  std::vector<Round> rounds;
  Latencies at_peak(0), results(0), refusals(0);
  Sums sums;
  double flooded_s = 0, peak_mib = 0, flood_mib = 0;
  for (std::int64_t i = 0; i < options.rounds; ++i) {
    Round round;
    round.peak = overload.peak();
    Latencies none(0);
    overload.merge_into(at_peak, none);
    peak_mib = std::max(peak_mib, overload.broker_mib());
    round.goodput = overload.flood(round.peak * static_cast<double>(options.times));
    overload.merge_into(results, refusals);
    flood_mib = std::max(flood_mib, overload.broker_mib());
    sums += overload.sums();
    flooded_s += overload.took_s();
    rounds.push_back(round);
  }
  const auto per_s = [&](std::uint64_t n) { return rounded(static_cast<double>(n) / flooded_s); };
  return {{"bench", "overload"},
          {"durability", options.durability},
          {"payload", options.payload},
          {"actors", options.actors},
          {"clients", options.clients},
          {"work_us", options.work_us},
          {"times", options.times},
          {"peak_per_s", rounded(median(rounds, &Round::peak))},
          {"peak_p99_us", rounded(at_peak.percentile_us(99))},
          {"offered_per_s", per_s(sums.sent)},
          {"goodput_per_s", rounded(median(rounds, &Round::goodput))},
          {"goodput_percent", rounded(median(rounds, &Round::percent))},
          {"goodput_percent_of_each_round", percent_of_each(rounds)},
          {"result_p99_us", rounded(results.percentile_us(99))},
          {"refused_per_s", per_s(sums.refused)},
          {"refusal_p50_us", rounded(refusals.percentile_us(50))},
          {"refusal_p99_us", rounded(refusals.percentile_us(99))},
          {"refusals_without_retry_after", sums.without_hint},
          {"failed", sums.failed},
          {"broker_mib_at_peak", rounded(peak_mib)},
          {"broker_mib_in_flood", rounded(flood_mib)}};
}

}  // namespace callboard::cli
