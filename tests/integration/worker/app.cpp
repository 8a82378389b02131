// The worker program of these tests.
#include "app.hpp"

#include <callboard/worker.hpp>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace app {

namespace {

int nap_noted(const std::string& file, const std::string& word, int ms) {
  note(file, word);
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return static_cast<int>(::getpid());
}

int crash_noted(const std::string& file, const std::string& how) {
  note(file, how + " " + std::to_string(::getpid()));
  if (how == "abort") std::abort();
  if (how == "segv") std::raise(SIGSEGV);
  if (how == "exit") std::_Exit(9);
  throw std::runtime_error("it only throws");
}

}  // namespace

int Probe::pid() { return static_cast<int>(::getpid()); }
int Probe::nap(std::string file, std::string word, int ms) { return nap_noted(file, word, ms); }
int Probe::crash(std::string file, std::string how) { return crash_noted(file, how); }
std::string Probe::echo(std::string text) { return text; }

bool Probe::wait_for(std::string file, std::string word) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (;;) {
    for (const std::string& line : notes(file)) {
      if (line == word) return true;
    }
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

int Probe::pid_of(std::string actor) {
  return callboard::this_call().client().get_actor<Probe>(actor).call<&Probe::pid>().get();
}

std::string Probe::cores() {
  std::ifstream status("/proc/thread-self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Cpus_allowed_list:")) return line.substr(line.find_last_of("\t ") + 1);
  }
  return {};
}

Fragile::Fragile(std::string file, std::string how) {
  if (how != "live") crash_noted(file, how);
}
int Fragile::pid() { return static_cast<int>(::getpid()); }

int task_nap(std::string file, std::string word, int ms) { return nap_noted(file, word, ms); }
int task_crash(std::string file, std::string how) { return crash_noted(file, how); }

}  // namespace app

int main(int argc, char** argv) {
  return callboard::worker_main(argc, argv, [](callboard::Registry& registry) {
    registry.add<app::Probe>().add<app::Fragile>().add<app::nap_task>().add<app::crash_task>();
  });
}
