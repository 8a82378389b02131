#include "cli/bench_run.hpp"

#include "cli/context.hpp"
#include "cli/cpu.hpp"
#include "cli/echo.hpp"
#include "cli/exit_code.hpp"
#include "cli/latency.hpp"
#include "common/clock.hpp"

#include <callboard/client.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>

#include <unistd.h>

namespace callboard::cli {

namespace {

constexpr std::int64_t kStuckAfterUs = 60'000'000;
constexpr std::uint64_t kWorkersMax = 1000;
constexpr std::chrono::milliseconds kLookEvery{5};

std::string host_name() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return host.data();
}

/// The process is of this machine and of this kind: not another one of the same number elsewhere.
bool is_here(std::int64_t pid, std::string_view program) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  return pid > 0 && std::getline(file, name) && name.starts_with(program);
}

Durability durability_of(const BenchOptions& options) {
  return options.durability == "memory" ? Durability::memory : Durability::durable;
}

/// What the threads that see results share with the one that submits.
class Flight {
 public:
  explicit Flight(std::uint64_t calls) : latency_ns_(calls), on_their_way_(calls) {}

  /// A call leaves. What is told when its result comes has no memory of its own, so that the
  /// figures are the client's and not this program's.
  void sent(std::uint64_t number, std::int64_t sent_ns, const FutureBase& future) {
    latency_ns_[number] = -sent_ns;
    on_their_way_[number] = future.state().get();
    detail::notify_when_ready(future.state(), [this, number] { landed(number); });
  }
  /// In the client's thread, when a result has come.
  void landed(std::uint64_t number) {
    latency_ns_[number] += latency_clock_ns();
    const Errc status = detail::status_of(on_their_way_[number]);
    if (status != Errc::ok) failed_.fetch_add(1, std::memory_order_relaxed);
    // The one that is waited for wakes; the waiter looks at done_ after it has told wake_at_.
    if (done_.fetch_add(1) + 1 == wake_at_.load()) done_.notify_one();
  }
  /// A call whose result was waited for.
  void ended(std::uint64_t number, std::int64_t took_ns, Errc status) {
    latency_ns_[number] = took_ns;
    if (status != Errc::ok) failed_.fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t done() const { return done_.load(); }
  std::uint64_t failed() const { return failed_.load(); }

  /// Waits until so many results have come.
  void wait_for(std::uint64_t results) {
    wake_at_.store(results);
    for (auto done = done_.load(); done < results; done = done_.load()) done_.wait(done);
  }

  Latencies latencies() const {
    Latencies out(latency_ns_.size());
    for (const auto ns : latency_ns_) out.add(ns);
    return out;
  }

 private:
  std::vector<std::int64_t> latency_ns_;
  std::vector<const client::FutureState*> on_their_way_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::uint64_t> wake_at_{0};
  std::atomic<std::uint64_t> failed_{0};
};

/// One call after the other, each waited for as users do.
void walk(const std::vector<Actor<Echo>>& actors, const BenchOptions& options, Flight& flight,
          Progress& progress) {
  const Bytes payload{std::string(options.payload, 'x')};
  for (std::uint64_t i = 0; i < options.calls; ++i) {
    const auto sent_ns = latency_clock_ns();
    const auto future = actors[i % actors.size()].call<&Echo::echo>(payload);
    future.wait();
    flight.ended(i, latency_clock_ns() - sent_ns, detail::status_of(future.state().get()));
    throw_if_interrupted();
    progress.show(i);
  }
}

/// Keeps `window` calls on their way until all have come back.
void fly(const std::vector<Actor<Echo>>& actors, const BenchOptions& options,
         const std::shared_ptr<Flight>& flight, Progress& progress) {
  if (options.window == 1) return walk(actors, options, *flight, progress);
  // Results may still come when this was interrupted, until the connection is closed.
  static std::vector<std::shared_ptr<Flight>> flights;
  flights.push_back(flight);
  // A sleeping thread is woken for a good part of the window, not for each result.
  const std::uint64_t refill = std::max<std::uint64_t>(options.window / 4, 1);
  const Bytes payload{std::string(options.payload, 'x')};
  std::uint64_t sent = 0;
  while (sent < options.calls) {
    const auto room_until = std::min(flight->done() + options.window, options.calls);
    for (; sent < room_until; ++sent) {
      const auto sent_ns = latency_clock_ns();
      flight->sent(sent, sent_ns, actors[sent % actors.size()].call<&Echo::echo>(payload));
    }
    throw_if_interrupted();
    progress.show(flight->done());
    if (sent < options.calls) {
      flight->wait_for(sent - options.window + std::min(refill, options.window));
    }
  }
  flight->wait_for(options.calls);
}

Json head_of(const char* bench, const BenchOptions& options) {
  return {{"bench", bench},           {"calls", options.calls},
          {"window", options.window}, {"payload", options.payload},
          {"actors", options.actors}, {"durability", options.durability}};
}

void finish(Json& out, double took_s, Latencies latencies, const Participants& participants,
            std::uint64_t calls) {
  out["calls_per_s"] = rounded(static_cast<double>(calls) / took_s);
  out["p50_us"] = rounded(latencies.percentile_us(50));
  out["p99_us"] = rounded(latencies.percentile_us(99));
  out["cpu_us_per_call"] = participants.cpu_us_per_call(calls);
}

}  // namespace

Participants::Participants(Connection& broker) {
  pids_["client"] = {::getpid()};
  const Json health = broker.ask("health");
  const auto here = health.value("host", "") == host_name();
  const auto add = [&](const std::string& role, std::int64_t pid, const char* program) {
    auto& list = pids_[role];
    if (here && is_here(pid, program)) list.push_back(pid);
  };
  add("broker", health.value("pid", std::int64_t{0}), "callboard");
  add("redis", health.value("redis_pid", std::int64_t{0}), "redis-server");
  pids_["workers"];
  for (const auto& worker : broker.list("worker.ls", Json::object(), kWorkersMax)) {
    if (worker.at("host").get<std::string>() != host_name()) continue;
    add("workers", worker.at("pid").get<std::int64_t>(), "");
  }
}

std::optional<double> Participants::used(const std::string& role) const {
  double sum = 0;
  for (const auto pid : pids_.at(role)) {
    const auto us = cpu_us_of(pid);
    if (!us) return std::nullopt;
    sum += *us;
  }
  return pids_.at(role).empty() ? std::nullopt : std::optional(sum);
}

void Participants::begin() {
  for (const auto& [role, pids] : pids_) before_[role] = used(role);
}

Json Participants::cpu_us_per_call(std::uint64_t calls) const {
  Json out = Json::object();
  for (const auto* role : {"client", "broker", "redis", "workers"}) {
    const auto now = used(role);
    const auto& before = before_.at(role);
    if (now && before)
      out[role] = rounded((*now - *before) / static_cast<double>(calls));
    else
      out[role] = nullptr;
  }
  return out;
}

Progress::Progress(std::uint64_t total)
    : total_(total), began_us_(clock_now().mono_us), visible_(::isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (visible_) std::fputs("\r\x1b[K", stderr);
}

void Progress::show(std::uint64_t done) {
  constexpr std::int64_t kEveryUs = 200'000;
  constexpr std::size_t kWidth = 30;
  const auto now_us = clock_now().mono_us;
  if (!visible_ || now_us < next_us_ || total_ == 0) return;
  next_us_ = now_us + kEveryUs;
  const auto filled = static_cast<std::size_t>(done * kWidth / total_);
  const auto per_s = static_cast<double>(done) * 1e6 /
                     static_cast<double>(std::max<std::int64_t>(now_us - began_us_, 1));
  std::fprintf(stderr, "\r[%s%s] %3d %%  %s/s \x1b[K", std::string(filled, '#').c_str(),
               std::string(kWidth - filled, '.').c_str(), static_cast<int>(done * 100 / total_),
               print_count(static_cast<std::uint64_t>(per_s)).c_str());
  std::fflush(stderr);
}

std::vector<Actor<Echo>> make_actors(Connection& broker, const BenchOptions& options,
                                     const ActorOptions& common) {
  std::vector<Actor<Echo>> actors;
  for (std::uint64_t i = 0; i < options.actors; ++i) {
    ActorOptions actor = common;
    if (!actor.name.empty()) actor.name += "-" + std::to_string(i);
    actor.durability = durability_of(options);
    actors.push_back(broker.client().actor<Echo>(actor));
  }
  const Bytes probe{std::string(options.payload, 'p')};
  for (const auto& actor : actors) {
    const auto echoed = actor.call<&Echo::echo>(probe);
    if (!Connection::wait(echoed, std::chrono::seconds(30))) {
      throw Failure(ExitCode::timed_out, "no worker runs callboard.Echo within 30 s");
    }
    if (echoed.get() != probe) throw Failure(ExitCode::failed, "an echo came back changed");
  }
  return actors;
}

Json measure_roundtrip(const Context&, Connection& broker, const BenchOptions& options) {
  const auto actors = make_actors(broker, options);
  {
    BenchOptions warm_up = options;
    warm_up.calls = std::min<std::uint64_t>(options.calls, 2 * options.window + 100);
    Progress hidden(0);
    fly(actors, warm_up, std::make_shared<Flight>(warm_up.calls), hidden);
  }
  Participants participants(broker);
  const auto flight = std::make_shared<Flight>(options.calls);
  Progress progress(options.calls);
  participants.begin();
  const auto began_us = clock_now().mono_us;
  fly(actors, options, flight, progress);
  const auto took_s = static_cast<double>(clock_now().mono_us - began_us) / 1e6;
  if (flight->failed() > 0) {
    throw Failure(ExitCode::failed, std::to_string(flight->failed()) + " of " +
                                        std::to_string(options.calls) + " calls failed");
  }
  Json out = head_of("roundtrip", options);
  finish(out, took_s, flight->latencies(), participants, options.calls);
  return out;
}

Json measure_submit(const Context&, Connection& broker, const BenchOptions& options) {
  const auto actors = make_actors(broker, options);
  Participants participants(broker);
  Latencies latencies(options.calls);
  Progress progress(options.calls);
  const Bytes payload{std::string(options.payload, 'x')};
  const auto accepted_before = broker.ask("stats").at("accepted").get<std::uint64_t>();
  participants.begin();
  const auto began_us = clock_now().mono_us;
  for (std::uint64_t i = 0; i < options.calls; ++i) {
    const auto sent_ns = latency_clock_ns();
    actors[i % actors.size()].send<&Echo::echo>(payload);
    latencies.add(latency_clock_ns() - sent_ns);
    if (i % 1024 == 0) throw_if_interrupted();
    progress.show(i);
  }
  // Others may submit too; this is for a broker of one's own.
  for (;;) {
    throw_if_interrupted();
    const auto accepted = broker.ask("stats").at("accepted").get<std::uint64_t>();
    if (accepted - accepted_before >= options.calls) break;
    if (clock_now().mono_us - began_us > kStuckAfterUs && accepted == accepted_before) {
      throw Failure(ExitCode::failed, "the broker accepts nothing");
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  const auto took_s = static_cast<double>(clock_now().mono_us - began_us) / 1e6;
  Json out = head_of("submit", options);
  finish(out, took_s, std::move(latencies), participants, options.calls);
  return out;
}

}  // namespace callboard::cli
