#include "chaos_app.hpp"

#include <callboard/context.hpp>
#include <callboard/registry.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <stdexcept>
#include <thread>

namespace chaos {

namespace {

/// One write at the end of the file: lines of many processes never mix.
void append(const std::string& file, const std::string& line) {
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const std::string text = line + "\n";
  [[maybe_unused]] const auto done = write(fd, text.data(), text.size());
  close(fd);
}

void note_begin(const std::string& file, const std::string& word) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const auto context = callboard::this_call();
  append(file, "X " + word + " " + std::to_string(getpid()) + " " +
                   std::to_string(context.epoch()) + " " + std::to_string(context.attempt()) + " " +
                   std::to_string(now_ms));
}

/// Y: ended well. F: ended with an error.
void note_end(const std::string& file, const std::string& word, bool failed) {
  append(file, (failed ? "F " : "Y ") + word + " " + std::to_string(getpid()));
}

std::string run_noted(const std::string& file, std::string word, int ms, int failures) {
  note_begin(file, word);
  if (ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  const bool fails = static_cast<int>(callboard::this_call().attempt()) <= failures;
  note_end(file, word, fails);
  if (fails) throw std::runtime_error("stumbled");
  return word;
}

}  // namespace

std::string Ledger::note(std::string word, int ms) {
  return run_noted(file_, std::move(word), ms, 0);
}

std::string Ledger::stumble(std::string word, int ms, int failures) {
  return run_noted(file_, std::move(word), ms, failures);
}

std::string note_in(std::string file, std::string word, int ms) {
  const auto headers = callboard::this_call().headers();
  // Of a schedule: which due time it is, so that two calls for one are seen.
  if (const auto due = headers.find("callboard-due-ms"); due != headers.end()) {
    word += "@" + due->second;
  }
  return run_noted(file, std::move(word), ms, 0);
}

std::string fail_in(std::string file, std::string word) {
  return run_noted(file, std::move(word), 0, INT_MAX);
}

}  // namespace chaos

CALLBOARD_LIBRARY(registry) {
  registry.add<chaos::Ledger>().add<chaos::note_task>().add<chaos::fail_task>();
}
