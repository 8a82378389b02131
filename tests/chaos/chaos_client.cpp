// A client that submits while things break, and writes down what it asked for and what it was told.
//
// usage: chaos_client ENDPOINTS EXECUTIONS LOG NAME SEED SECONDS
// LOG gets a line per event:  S WORD KIND MS   submitted at (wall clock)
//                             R WORD CODE VALUE told
//                             E UNANSWERED      the end: so many futures never became ready
// Kinds: once (at most once, serial actor), again (at least once, serial actor), task (at least
// once), keyed (at most once, submitted twice under one idempotency key), later (at most once,
// delayed by 500 ms).
#include "chaos_app.hpp"

#include <callboard/client.hpp>

#include <chrono>
#include <cstdio>
#include <deque>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using callboard::Future;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kInFlightMax = 150;
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
    for (int i = 0; i < 3; ++i) {
      callboard::ActorOptions options;
      options.name = name_ + "-once-" + std::to_string(i);
      options.max_restarts = -1;
      once_.push_back(client_.actor<chaos::Ledger>(options, executions_));
    }
    callboard::ActorOptions options;
    options.name = name_ + "-again";
    options.max_restarts = -1;
    options.max_retries = 50;
    again_.push_back(client_.actor<chaos::Ledger>(options, executions_));
  }

  void submit_one() {
    const std::uint64_t dice = random_() % 100;
    const int ms = random_() % 20 == 0 ? 20 : 0;
    const std::string number = std::to_string(next_++);
    if (dice < 60) {
      const std::size_t which = random_() % once_.size();
      const std::string word = name_ + "-once-" + std::to_string(which) + ":" + number;
      say("S " + word + " once " + wall_ms());
      keep(word, once_[which].call<&chaos::Ledger::note>(word, ms));
    } else if (dice < 75) {
      const std::string word = name_ + "-again:" + number;
      say("S " + word + " again " + wall_ms());
      keep(word, again_[0].call<&chaos::Ledger::note>(word, ms));
    } else if (dice < 90) {
      const std::string word = name_ + "-task:" + number;
      say("S " + word + " task " + wall_ms());
      callboard::CallOptions options;
      options.max_retries = 50;
      keep(word, client_.call(options, chaos::note_task, executions_, word, ms));
    } else if (dice < 95) {
      const std::string word = name_ + "-keyed:" + number;
      callboard::CallOptions options;
      options.idempotency_key = word;
      options.max_retries = 0;
      for (int i = 0; i < 2; ++i) {
        say("S " + word + " keyed " + wall_ms());
        keep(word, client_.call(options, chaos::note_task, executions_, word, ms));
      }
    } else {
      const std::string word = name_ + "-later:" + number;
      say("S " + word + " later " + wall_ms());
      callboard::CallOptions options;
      options.delay = milliseconds(500);
      options.max_retries = 0;
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
        say("R " + one.word + " " + std::string(callboard::name_of(error->code)) + " -");
      } else {
        say("R " + one.word + " ok " + one.future.get());
      }
    }
  }

 private:
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
  std::vector<callboard::Actor<chaos::Ledger>> again_;
  std::deque<Pending> pending_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("usage: chaos_client ENDPOINTS EXECUTIONS LOG NAME SEED SECONDS\n", stderr);
    return 2;
  }
  Log log(argv[3]);
  callboard::Client client(argv[1]);
  Load load(client, log, argv[4], argv[2], std::stoull(argv[5]));
  const auto until = Clock::now() + std::chrono::seconds(std::stoi(argv[6]));
  while (Clock::now() < until) {
    for (int i = 0; i < 20 && load.in_flight() < kInFlightMax; ++i) load.submit_one();
    load.collect();
    std::this_thread::sleep_for(milliseconds(2));
  }
  const auto patience = Clock::now() + kPatience;
  while (load.in_flight() > 0 && Clock::now() < patience) {
    load.collect();
    std::this_thread::sleep_for(milliseconds(5));
  }
  log.line("E " + std::to_string(load.in_flight()));
  return load.in_flight() == 0 ? 0 : 1;
}
