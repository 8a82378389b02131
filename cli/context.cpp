#include "cli/context.hpp"

#include "cli/exit_code.hpp"
#include "common/log.hpp"

#include <atomic>
#include <csignal>

namespace callboard::cli {

namespace {

std::atomic<bool> caught{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only use such a flag");

extern "C" void on_interrupt(int signal) {
  if (!caught.exchange(true)) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

void Context::load_settings() {
  config::Sources sources;
  sources.file_name = config::find_file(config_file);
  if (!sources.file_name.empty()) {
    auto text = config::read_file(sources.file_name);
    if (!text) fail_usage(text.text());
    sources.file_text = std::move(*text);
  }
  sources.environment = config::environment();
  sources.flags = flags;
  auto loaded = config::load(sources);
  if (!loaded) fail_usage(loaded.text());
  loaded_ = std::move(*loaded);
  file_ = sources.file_name;
  log::set_level(loaded_.settings.log.level);
}

void Context::show(const Json& item) const {
  if (format() == Format::json)
    print_line(print_json(item));
  else
    print(record(item));
}

void Context::show(const std::vector<Column>& columns, const Json& items) const {
  if (format() == Format::json)
    print_line(print_json(items));
  else
    print(table(columns, items));
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

bool interrupted() { return caught.load(); }

void throw_if_interrupted() {
  if (interrupted()) throw Failure(ExitCode::interrupted, "interrupted");
}

}  // namespace callboard::cli
