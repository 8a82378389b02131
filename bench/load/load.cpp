#include "bench/load/load.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <new>
#include <stdexcept>
#include <thread>

#include <csignal>
#include <ctime>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr std::chrono::milliseconds kLookEvery{1};
constexpr std::int64_t kSecondNs = 1'000'000'000;
/// Open loop: nobody sleeps for less. At hundreds of thousands a second a sleep before each message
/// would be all that a client does, and what is measured the client. Latency counts from when a
/// message was due all the same, for all contestants alike.
constexpr std::int64_t kPaceNs = 50'000;

/// What parent and clients share.
struct Shared {
  std::atomic<std::uint32_t> ready{0};
  std::atomic<std::uint32_t> go{0};
  std::atomic<std::uint32_t> done{0};
  std::atomic<std::uint32_t> leave{0};
};

template <class T>
T* share(std::size_t count) {
  void* memory = ::mmap(nullptr, sizeof(T) * count, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no shared memory");
  T* first = static_cast<T*>(memory);
  for (std::size_t i = 0; i < count; ++i) new (first + i) T();
  return first;
}

std::uint64_t number_of(const std::string& name, const std::string& text) {
  std::size_t end = 0;
  std::uint64_t number = 0;
  try {
    number = std::stoull(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  if (end == 0 || end != text.size()) throw std::runtime_error(name + ": not a number: " + text);
  return number;
}

std::uint32_t count_of(const std::string& name, const std::string& text) {
  return static_cast<std::uint32_t>(number_of(name, text));
}

void add_processes(Options& options, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) throw std::runtime_error("--cpu takes role=pid,pid");
  auto& pids = options.processes[text.substr(0, equals)];
  for (std::size_t at = equals + 1; at < text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    pids.push_back(static_cast<pid_t>(number_of("--cpu", text.substr(at, end - at))));
    at = end + 1;
  }
}

/// Microseconds of processor time that a process has used.
double cpu_us(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

/// Bytes of memory that are this process's, shared pages in parts.
double memory_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Pss:")) return std::stod(line.substr(4)) * 1024;
  }
  return 0;
}

/// What the processes of a role have used so far, all together.
struct Use {
  double cpu_us = 0;
  double bytes = 0;
};
using Uses = std::map<std::string, Use>;

Uses uses_of(const std::map<std::string, std::vector<pid_t>>& processes) {
  Uses out;
  for (const auto& [role, pids] : processes) {
    for (const pid_t pid : pids) {
      out[role].cpu_us += cpu_us(pid);
      out[role].bytes += memory_bytes(pid);
    }
  }
  return out;
}

void print_by_role(const char* name, const Uses& before, const Uses& after, double Use::*what,
                   double calls) {
  std::printf(", \"%s\": {", name);
  const char* comma = "";
  for (const auto& [role, use] : after) {
    const double more = use.*what - before.at(role).*what;
    std::printf("%s\"%s\": %.3f", comma, role.c_str(), more / calls);
    comma = ", ";
  }
  std::printf("}");
}

void print_figures(const Options& options, const Outcome& all, const Uses& before,
                   const Uses& after) {
  const double seconds = static_cast<double>(all.ended_ns - all.began_ns) / 1e9;
  const auto calls = static_cast<double>(options.calls);
  std::printf("{\"calls\": %llu, \"seconds\": %.4f, \"calls_per_s\": %.1f, \"p50_us\": %.1f, "
              "\"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, "
              "\"landed\": %llu, \"damaged\": %llu, \"repeated\": %llu",
              static_cast<unsigned long long>(options.calls), seconds, calls / seconds,
              all.latencies.percentile_us(50), all.latencies.percentile_us(90),
              all.latencies.percentile_us(99), all.latencies.percentile_us(99.9),
              all.latencies.max_us(), static_cast<unsigned long long>(all.landed),
              static_cast<unsigned long long>(all.damaged),
              static_cast<unsigned long long>(all.repeated));
  print_by_role("cpu_us_per_call", before, after, &Use::cpu_us, calls);
  print_by_role("bytes_per_call", before, after, &Use::bytes, calls);
  std::puts("}");
}

void run_client(const Options& options, std::uint32_t number, const Client& client, Shared& shared,
                Outcome& outcome) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_TIMERSLACK, 1);  // an open loop sends when it is due
  // What the clients do not divide evenly is left to the first.
  const auto share = options.calls / options.clients +
                     (number == 0 ? options.calls % options.clients : 0);
  Flight flight(options, number, outcome);
  client(flight, [&](Flight& mine, const std::function<void()>& fly) {
    // Warm is who has been called: a full window twice, and every actor.
    mine.begin(std::max<std::uint64_t>(std::min(share, 2 * options.window + 100), options.actors),
               false);
    fly();
    shared.ready.fetch_add(1);
    while (shared.go.load() == 0) std::this_thread::sleep_for(kLookEvery);
    mine.begin(share, true);
    fly();
    shared.done.fetch_add(1);
    while (shared.leave.load() == 0) std::this_thread::sleep_for(kLookEvery);
  });
}

/// The clients' processes; those that are left are killed when this goes.
class Clients {
 public:
  Clients(const Options& options, const Client& client)
      : options_(options), shared_(share<Shared>(1)), outcomes_(share<Outcome>(options.clients)),
        end_ns_(now_ns() + std::chrono::nanoseconds(options.timeout).count()) {
    for (std::uint32_t i = 0; i < options.clients; ++i) {
      const pid_t pid = ::fork();
      if (pid < 0) throw std::runtime_error("no process for a client");
      if (pid == 0) {
        int status = 0;
        try {
          run_client(options, i, client, *shared_, outcomes_[i]);
        } catch (const std::exception& error) {
          std::fprintf(stderr, "client %u: %s\n", i, error.what());
          status = 1;
        }
        std::fflush(stderr);
        ::_exit(status);
      }
      pids_.push_back(pid);
    }
  }
  ~Clients() {
    for (const pid_t pid : pids_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  const std::vector<pid_t>& pids() const { return pids_; }
  void wait_ready() { wait_for(shared_->ready, "warm up"); }
  void go() { shared_->go.store(1); }
  void wait_done() { wait_for(shared_->done, "finish"); }
  /// Each of them closes its client and ends.
  void leave() {
    shared_->leave.store(1);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
    pids_.clear();
  }

  Outcome all() const {
    Outcome all = outcomes_[0];
    for (std::uint32_t i = 1; i < options_.clients; ++i) {
      const Outcome& one = outcomes_[i];
      all.began_ns = std::min(all.began_ns, one.began_ns);
      all.ended_ns = std::max(all.ended_ns, one.ended_ns);
      all.landed += one.landed;
      all.damaged += one.damaged;
      all.repeated += one.repeated;
      all.latencies.merge(one.latencies);
    }
    return all;
  }

 private:
  Options options_;
  Shared* shared_;
  Outcome* outcomes_;
  std::int64_t end_ns_;
  std::vector<pid_t> pids_;

  void wait_for(const std::atomic<std::uint32_t>& count, const char* what) {
    while (count.load() < options_.clients) {
      if (::waitpid(-1, nullptr, WNOHANG) > 0) throw std::runtime_error("a client has ended");
      if (now_ns() > end_ns_) {
        throw std::runtime_error(std::string("the clients did not ") + what + " in time");
      }
      std::this_thread::sleep_for(kLookEvery);
    }
  }
};

}  // namespace

const std::string& Options::need(const std::string& name) const {
  const auto found = others.find(name);
  if (found == others.end()) throw std::runtime_error("--" + name + " is missing");
  return found->second;
}

std::string Options::get(const std::string& name, const std::string& otherwise) const {
  const auto found = others.find(name);
  return found == others.end() ? otherwise : found->second;
}

Options parse(int argc, char** argv, int from) {
  Options options;
  for (int i = from; i < argc; i += 2) {
    const std::string name = argv[i];
    if (!name.starts_with("--") || i + 1 >= argc) throw std::runtime_error("what is " + name + "?");
    const std::string text = argv[i + 1];
    if (name == "--calls") options.calls = number_of(name, text);
    else if (name == "--window") options.window = number_of(name, text);
    else if (name == "--payload") options.payload = number_of(name, text);
    else if (name == "--first") options.first = number_of(name, text);
    else if (name == "--clients") options.clients = count_of(name, text);
    else if (name == "--actors") options.actors = count_of(name, text);
    else if (name == "--rate") options.rate = static_cast<double>(number_of(name, text));
    else if (name == "--timeout") options.timeout = std::chrono::seconds(number_of(name, text));
    else if (name == "--cpu") add_processes(options, text);
    else options.others[name.substr(2)] = text;
  }
  if (options.payload < kMessageMin || options.clients < 1 || options.actors < 1 ||
      options.window < 1 || options.calls < options.clients) {
    throw std::runtime_error("payload >= 24, clients, actors and window >= 1, calls >= clients");
  }
  return options;
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Flight::Flight(const Options& options, std::uint32_t client, Outcome& outcome)
    : options_(options), client_(client), outcome_(outcome), message_(options.payload, 'x') {}

void Flight::begin(std::uint64_t calls, bool measured) {
  until_ = sent_ + calls;
  sent_ns_.resize(until_);
  measured_from_ = measured ? sent_ : until_;
  began_ns_ = now_ns();
  every_ns_ = 0;
  if (!measured) return;
  outcome_.began_ns = began_ns_;
  if (options_.rate > 0) {
    every_ns_ = static_cast<std::int64_t>(1e9 * options_.clients / options_.rate);
  }
}

std::int64_t Flight::intended_ns(std::uint64_t number) const {
  return began_ns_ + static_cast<std::int64_t>(number - measured_from_) * every_ns_;
}

std::uint64_t Flight::may_send() const {
  const auto left = until_ - sent_;
  if (every_ns_ == 0) return std::min(left, options_.window - std::min(options_.window,
                                                                       on_their_way()));
  const auto past_ns = now_ns() - intended_ns(sent_);
  return past_ns < 0 ? 0 : std::min(left, static_cast<std::uint64_t>(past_ns / every_ns_) + 1);
}

std::int64_t Flight::due_ns() const {
  const auto now = now_ns();
  return every_ns_ > 0 && !all_sent() ? std::max(intended_ns(sent_), now + kPaceNs)
                                      : now + kSecondNs;
}

const std::string& Flight::next() {
  sent_ns_[sent_] = every_ns_ > 0 ? intended_ns(sent_) : now_ns();
  const auto actor = static_cast<std::uint32_t>(sent_ % options_.actors);
  seal(message_, Head{client_, actor, options_.first + sent_});
  ++sent_;
  return message_;
}

void Flight::landed(std::string_view result) {
  const bool good = result.size() == options_.payload &&
                    sum_in(result) == sum_of_result(result.data(), result.size()) &&
                    head_of(result).client == client_;
  landed(good ? head_of(result).number - options_.first : 0, good);
}

void Flight::landed(std::uint64_t number, bool good) {
  if (!good || number >= sent_ns_.size()) {
    ++outcome_.damaged;
  } else if (sent_ns_[number] == 0) {
    ++outcome_.repeated;
  } else if (number >= measured_from_) {
    outcome_.latencies.add(now_ns() - sent_ns_[number]);
    ++outcome_.landed;
    sent_ns_[number] = 0;
  }
  const auto all = landed_.load(std::memory_order_relaxed) + 1;
  if (all == until_) outcome_.ended_ns = now_ns();
  landed_.store(all, std::memory_order_seq_cst);
  if (all >= wake_at_.load()) {
    woken_.fetch_add(1);
    woken_.notify_one();
  }
}

void Flight::wait() {
  if (every_ns_ > 0 && !all_sent()) {
    std::this_thread::sleep_until(std::chrono::steady_clock::time_point(
        std::chrono::nanoseconds(due_ns())));
    return;
  }
  const auto refill = std::max<std::uint64_t>(options_.window / 4, 1);
  const auto target = all_sent() ? until_
                                 : sent_ - std::min(sent_, options_.window) +
                                       std::min(refill, options_.window);
  wake_at_.store(target);
  for (;;) {
    const auto seen = woken_.load();
    if (landed_.load() >= target) break;
    woken_.wait(seen);
  }
  wake_at_.store(UINT64_MAX);
}

int run_load(const Options& options, const Client& client) {
  Clients clients(options, client);
  auto processes = options.processes;
  processes["client"] = clients.pids();
  clients.wait_ready();
  const auto before = uses_of(processes);
  clients.go();
  clients.wait_done();
  const auto after = uses_of(processes);
  const Outcome all = clients.all();
  print_figures(options, all, before, after);
  if (options.get("leave", "no") == "yes") clients.leave();
  return all.damaged == 0 && all.repeated == 0 && all.landed == options.calls ? 0 : 1;
}

int run_part(int argc, char** argv, const Parts& parts) {
  try {
    if (const auto only = parts.find(""); only != parts.end()) {
      return only->second(parse(argc, argv, 1));
    }
    const auto part = parts.find(argc < 2 ? "" : argv[1]);
    if (part != parts.end()) return part->second(parse(argc, argv, 2));
    std::string known;
    for (const auto& [name, run] : parts) known += (known.empty() ? "" : "|") + name;
    throw std::runtime_error("usage: " + known + " --option value...");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}

}  // namespace bench
