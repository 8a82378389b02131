// A client that submits while things break, and writes down what it asked for and what it was told.
//
// usage: chaos_client ENDPOINTS EXECUTIONS LOG NAME SEED SECONDS CALLS_PER_SECOND
// LOG gets a line per event:  S WORD KIND MS       submitted at (wall clock)
//                             R WORD CODE VALUE MS told
//                             E UNANSWERED         the end: so many futures never became ready
// Kinds: once (at most once, serial actor), prio (the same with priorities; a lane of its own for
// each), again (at least once, serial actor), stumble (the same, and its first attempts fail), task
// (at least once), fail (at least once, fails in each of its attempts), keyed (at most once,
// submitted twice under one idempotency key), later (at most once, delayed by 500 ms).
#include "chaos_app.hpp"

#include <callboard/client.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using callboard::Future;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kInFlightMax = 150;
constexpr std::int64_t kBurst = 50;
constexpr int kRetries = 50;
constexpr callboard::Backoff kBackoff{milliseconds(5), milliseconds(200)};
constexpr milliseconds kPauseAfterRefusal{50};
constexpr std::chrono::seconds kPatience{90};  ///< for everything to be answered at the end

class Log {
 public:
  explicit Log(const char* path) : file_(std::fopen(path, "w")) {}
  ~Log() { std::fclose(file_); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  void line(const std::string& text) {
    std::fputs((text + "\n").c_str(), file_);
    std::fflush(file_);
  }

 private:
  std::FILE* file_;
};

std::string wall_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<milliseconds>(now).count());
}

struct Pending {
  std::string word;
  Future<std::string> future;
};

class Load {
 public:
  Load(callboard::Client& client, Log& log, std::string name, std::string executions,
       std::uint64_t seed)
      : client_(client),
        log_(log),
        name_(std::move(name)),
        executions_(std::move(executions)),
        random_(seed) {
    for (int i = 0; i < 3; ++i) once_.push_back(actor("once-" + std::to_string(i), 0));
    prio_.push_back(actor("prio", 0));
    again_.push_back(actor("again", kRetries));
    stumble_.push_back(actor("stumble", kRetries));
  }

  void submit_one() {
    const std::uint64_t dice = random_() % 100;
    const int ms = random_() % 20 == 0 ? 20 : 0;
    const std::string number = ":" + std::to_string(next_++);
    if (dice < 50) {
      const std::size_t which = random_() % once_.size();
      const std::string word = begin("once-" + std::to_string(which) + number, "once");
      keep(word, once_[which].call<&chaos::Ledger::note>(word, ms));
    } else if (dice < 60) {
      const auto priority = static_cast<std::int8_t>(random_() % 3);
      const std::string word = begin("prio." + std::to_string(priority) + number, "prio");
      const callboard::CallOptions options{.priority = priority};
      keep(word, prio_[0].with(options).call<&chaos::Ledger::note>(word, ms));
    } else if (dice < 70) {
      const std::string word = begin("again" + number, "again");
      keep(word, again_[0].call<&chaos::Ledger::note>(word, ms));
    } else if (dice < 73) {
      const int failures = static_cast<int>(random_() % 3);
      const std::string word = begin("stumble" + number, "stumble");
      keep(word, stumble_[0].call<&chaos::Ledger::stumble>(word, ms, failures));
    } else if (dice < 74) {
      const std::string word = begin("fail" + number, "fail");
      const callboard::CallOptions options{
          .max_retries = 2, .retry_on = callboard::RetryOn{.all = true}, .backoff = kBackoff};
      keep(word, client_.call(options, chaos::fail_task, executions_, word));
    } else if (dice < 90) {
      const std::string word = begin("task" + number, "task");
      const callboard::CallOptions options{.max_retries = kRetries};
      keep(word, client_.call(options, chaos::note_task, executions_, word, ms));
    } else if (dice < 95) {
      const std::string key = name_ + "-keyed" + number;
      const callboard::CallOptions options{.max_retries = 0, .idempotency_key = key};
      for (int i = 0; i < 2; ++i) {
        const std::string word = begin("keyed" + number, "keyed");
        keep(word, client_.call(options, chaos::note_task, executions_, word, ms));
      }
    } else {
      const std::string word = begin("later" + number, "later");
      const callboard::CallOptions options{.max_retries = 0, .delay = milliseconds(500)};
      keep(word, client_.call(options, chaos::note_task, executions_, word, ms));
    }
  }

  std::size_t in_flight() const { return pending_.size(); }

  void collect() {
    for (std::size_t n = pending_.size(); n > 0; --n) {
      Pending one = std::move(pending_.front());
      pending_.pop_front();
      if (!one.future.ready()) {
        pending_.push_back(std::move(one));
        continue;
      }
      if (const auto error = one.future.error()) {
        const std::string code(callboard::name_of(error->code));
        refused_ = refused_ || code == "store_full" || code == "store_unavailable";
        say("R " + one.word + " " + code + " - " + wall_ms());
      } else {
        say("R " + one.word + " ok " + one.future.get() + " " + wall_ms());
      }
    }
  }

  /// True once after a refusal that time may cure.
  bool was_refused() { return std::exchange(refused_, false); }

 private:
  callboard::Actor<chaos::Ledger> actor(const std::string& name, int max_retries) {
    callboard::ActorOptions options;
    options.name = name_ + "-" + name;
    options.max_restarts = -1;
    options.max_retries = max_retries;
    options.retry_on = callboard::RetryOn{.all = max_retries > 0};
    options.backoff = kBackoff;
    return client_.actor<chaos::Ledger>(options, executions_);
  }
  std::string begin(const std::string& what, const std::string& kind) {
    std::string word = name_ + "-" + what;
    say("S " + word + " " + kind + " " + wall_ms());
    return word;
  }
  void say(const std::string& text) { log_.line(text); }
  void keep(const std::string& word, Future<std::string> future) {
    pending_.push_back({word, std::move(future)});
  }

  callboard::Client& client_;
  Log& log_;
  std::string name_;
  std::string executions_;
  std::mt19937_64 random_;
  std::uint64_t next_ = 1;
  std::vector<callboard::Actor<chaos::Ledger>> once_;
  std::vector<callboard::Actor<chaos::Ledger>> prio_;
  std::vector<callboard::Actor<chaos::Ledger>> again_;
  std::vector<callboard::Actor<chaos::Ledger>> stumble_;
  bool refused_ = false;
  std::deque<Pending> pending_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fputs("usage: chaos_client ENDPOINTS EXECUTIONS LOG NAME SEED SECONDS CALLS_PER_SECOND\n",
               stderr);
    return 2;
  }
  Log log(argv[3]);
  callboard::Client client(argv[1]);
  Load load(client, log, argv[4], argv[2], std::stoull(argv[5]));
  const auto began = Clock::now();
  const auto until = began + std::chrono::seconds(std::stoi(argv[6]));
  const std::int64_t per_second = std::stoll(argv[7]);
  std::int64_t submitted = 0;
  while (Clock::now() < until) {
    const std::int64_t due = (Clock::now() - began) / milliseconds(1) * per_second / 1000;
    submitted = std::max(submitted, due - kBurst);  // what could not be sent is not made up for
    for (; submitted < due && load.in_flight() < kInFlightMax; ++submitted) load.submit_one();
    load.collect();
    std::this_thread::sleep_for(load.was_refused() ? kPauseAfterRefusal : milliseconds(2));
  }
  const auto patience = Clock::now() + kPatience;
  while (load.in_flight() > 0 && Clock::now() < patience) {
    load.collect();
    std::this_thread::sleep_for(milliseconds(5));
  }
  log.line("E " + std::to_string(load.in_flight()));
  return load.in_flight() == 0 ? 0 : 1;
}
