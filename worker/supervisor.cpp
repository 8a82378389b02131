#include "worker/supervisor.hpp"

#include "client/connection.hpp"
#include "common/clock.hpp"
#include "common/log.hpp"
#include "worker/child_process.hpp"
#include "worker/reports.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>

namespace callboard::worker {

namespace {

constexpr std::int64_t kPauseMinMs = 100;
constexpr std::int64_t kPauseMaxMs = 10'000;
/// A child that lived this long was well; its next death is the first of a new row.
constexpr std::int64_t kWellUs = 10'000'000;
/// What a child needs beyond drain_timeout_ms to say goodbye and end.
constexpr std::int64_t kGraceMs = 2000;
/// A child starts when the broker has heard how its predecessor died, or after this time.
constexpr std::int64_t kHearUs = 10'000'000;
/// How long the last reports may take when the worker ends.
constexpr std::int64_t kLastReportsMs = 700;
/// Children of a killed supervisor die within moments, so a few looks find them all.
constexpr int kOrphanLooks = 3;
constexpr std::int64_t kOrphanPauseUs = 1'500'000;

int wake_fd = -1;
std::atomic<int> ends_asked{0};

void wake_main() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd, &one, sizeof one);
}

extern "C" void on_signal(int signal) {
  const int saved = errno;
  if (signal != SIGCHLD) ends_asked.fetch_add(1);
  wake_main();
  errno = saved;
}

void handle_signals() {
  wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) ::sigaction(signal, &action, nullptr);
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  while (number == 0) {
    if (::getrandom(&number, sizeof number, 0) != sizeof number) number = 0;
  }
  return number;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

client::ConnectionOptions connection_options(const std::vector<std::string>& brokers) {
  client::ConnectionOptions options;
  options.endpoints = brokers;
  options.log = [](int level, const std::string& text) {
    log::write(static_cast<log::Level>(level + 1), text);
  };
  return options;
}

}  // namespace

std::int64_t restart_pause_ms(int failures) {
  if (failures <= 1) return 0;
  return std::min(kPauseMinMs << std::min(failures - 2, 16), kPauseMaxMs);
}

/// The supervisor's connection and what it says over it.
class Supervisor::Link {
 public:
  explicit Link(const WorkerOptions& options)
      : connection_(connection_options(options.brokers)),
        reports_(options.name, connection_.link(), &wake_main) {
    connection_.add(reports_, wire::Side::worker);
    connection_.start();
  }
  ~Link() {
    connection_.stop();
    connection_.join();
  }
  void report(wire::ChildDied message, FlightFile file) {
    reports_.add(std::move(message), std::move(file));
    connection_.wake();
  }
  std::size_t pending() const { return reports_.pending(); }
  bool pending(std::string_view child) const { return reports_.pending(child); }

 private:
  client::Connection connection_;
  Reports reports_;
};

Supervisor::Supervisor(WorkerOptions options, std::vector<CoreSet> cores)
    : options_(std::move(options)),
      arguments_(own_arguments()),
      directory_(runtime_directory(options_.runtime_dir)),
      broker_(joined(options_.brokers)),
      children_(cores.size()) {
  for (std::size_t i = 0; i < cores.size(); ++i) {
    children_[i].name = options_.name + "-" + std::to_string(i);
    children_[i].cores = std::move(cores[i]);
  }
}

Supervisor::~Supervisor() {
  for (ChildState& child : children_) {
    if (child.process.pid != 0) {
      ::kill(child.process.pid, SIGKILL);
      ::waitpid(child.process.pid, nullptr, 0);
    }
    if (child.process.stderr_fd >= 0) ::close(child.process.stderr_fd);
    if (child.process.ready_fd >= 0) ::close(child.process.ready_fd);
  }
}

int Supervisor::run() {
  handle_signals();
  link_ = std::make_unique<Link>(options_);
  while (!stopping_ || any_running()) {
    report_orphans();
    if (!stopping_) start_due();
    wait_for_news();
    for (ChildState& child : children_) read_pipes(child);
    reap();
    become_ready();
    obey_signals();
    kill_late();
  }
  const std::int64_t until_us = clock_now().mono_us + kLastReportsMs * kMicrosPerMilli;
  while (link_->pending() > 0 && clock_now().mono_us < until_us && signals_ < 2) wait_for_news();
  link_.reset();
  return status_;
}

// --- children ----------------------------------------------------------------------------------

void Supervisor::start_due() {
  const std::int64_t now_us = clock_now().mono_us;
  for (ChildState& child : children_) {
    if (child.process.pid == 0 && may_start_us(child) <= now_us) start(child);
  }
}

/// A successor of its name tells the broker that this process is gone, too, but not what it had
/// begun: it must not be the first to say so.
std::int64_t Supervisor::may_start_us(const ChildState& child) const {
  return link_->pending(child.name) ? std::max(child.due_us, child.unheard_us) : child.due_us;
}

void Supervisor::start(ChildState& child) {
  child.instance = random_number();
  child.errors = StderrTail();
  child.ready = child.killed = false;
  child.began_us = clock_now().mono_us;
  try {
    child.flight = FlightFile::create(
        directory_, {child.name, options_.name, broker_, child.instance});
    ChildParams params;
    params.options = options_;
    params.name = child.name;
    params.instance = child.instance;
    params.cores = child.cores;
    params.task_slots = options_.task_slots;
    if (params.task_slots == 0) {
      const std::size_t cores =
          child.cores.empty() ? usable_cores().size() / children_.size() : child.cores.size();
      params.task_slots = static_cast<std::uint32_t>(std::max<std::size_t>(cores, 1));
    }
    params.flight_fd = child.flight.fd();
    child.process = spawn_child(std::move(params), arguments_);
  } catch (const std::exception& problem) {
    child.flight.remove();
    ++child.failures;
    child.due_us = child.began_us + restart_pause_ms(child.failures + 1) * kMicrosPerMilli;
    log::error("a child cannot be started", {{"child", child.name}, {"reason", problem.what()}});
    return;
  }
  log::info("child started", {{"child", child.name}, {"pid", child.process.pid},
                              {"cores", child.cores.empty() ? "any" : to_string(child.cores)}});
}

void Supervisor::wait_for_news() {
  std::vector<pollfd> waiting{{wake_fd, POLLIN, 0}};
  for (const ChildState& child : children_) {
    for (const int fd : {child.process.stderr_fd, child.process.ready_fd}) {
      if (fd >= 0) waiting.push_back({fd, POLLIN, 0});
    }
  }
  const std::int64_t due_us = next_due_us();
  int timeout_ms = -1;
  if (due_us != kNever) {
    const std::int64_t left_us = std::max<std::int64_t>(due_us - clock_now().mono_us, 0);
    timeout_ms = static_cast<int>(std::min<std::int64_t>(left_us / kMicrosPerMilli + 1, 60'000));
  }
  if (::poll(waiting.data(), waiting.size(), timeout_ms) <= 0) return;
  std::uint64_t count = 0;
  if (waiting[0].revents != 0) {
    [[maybe_unused]] const auto n = ::read(wake_fd, &count, sizeof count);
  }
}

std::int64_t Supervisor::next_due_us() const {
  std::int64_t due_us = orphan_looks_ < kOrphanLooks ? orphans_due_us_ : kNever;
  if (stopping_) {
    due_us = std::min(due_us, any_running() ? kill_us_ : clock_now().mono_us + 50'000);
  } else {
    for (const ChildState& child : children_) {
      if (child.process.pid == 0) due_us = std::min(due_us, may_start_us(child));
    }
  }
  return due_us;
}

void Supervisor::read_pipes(ChildState& child) {
  if (child.process.stderr_fd >= 0 && !child.errors.read_from(child.process.stderr_fd)) {
    ::close(std::exchange(child.process.stderr_fd, -1));
  }
  if (child.process.ready_fd < 0) return;
  char byte = 0;
  const ssize_t n = ::read(child.process.ready_fd, &byte, 1);
  if (n < 0) return;
  if (n == 1) child.ready = true;
  ::close(std::exchange(child.process.ready_fd, -1));
}

void Supervisor::reap() {
  for (ChildState& child : children_) {
    int status = 0;
    if (child.process.pid == 0 || ::waitpid(child.process.pid, &status, WNOHANG) <= 0) continue;
    died(child, status);
  }
}

void Supervisor::died(ChildState& child, int wait_status) {
  read_pipes(child);  // its last words
  if (child.process.stderr_fd >= 0) ::close(std::exchange(child.process.stderr_fd, -1));
  if (child.process.ready_fd >= 0) ::close(std::exchange(child.process.ready_fd, -1));
  const std::string tail = child.errors.finish();
  const pid_t pid = std::exchange(child.process.pid, 0);
  const bool exited = WIFEXITED(wait_status);
  const int status = exited ? WEXITSTATUS(wait_status) : -1;
  if (!child.killed && !(stopping_ && status == kWorkerEnded)) {
    log::warning("child died",
                 {{"child", child.name}, {"pid", pid},
                  exited ? log::Field("status", status)
                         : log::Field("signal", WTERMSIG(wait_status))});
  }
  const Result<FlightReport> page = child.flight.read();
  const bool clean = exited && status == kWorkerEnded && page && page->calls.empty();
  if (clean || !page) {
    child.flight.remove();
  } else {
    wire::ChildDied report = child_died(*page, wait_status, child.killed, tail);
    report.pid = static_cast<std::uint64_t>(pid);
    tell(std::move(report), std::move(child.flight));
  }
  child.flight = FlightFile();
  if (stopping_) return;
  if (exited && (status == kWorkerLibrary || status == kWorkerRefused)) {
    status_ = status;
    return stop_all(SIGTERM);
  }
  const std::int64_t now_us = clock_now().mono_us;
  const bool well = now_us - child.began_us >= kWellUs || status == kChildReplaced;
  child.failures = well ? 1 : child.failures + 1;
  child.due_us = now_us + restart_pause_ms(child.failures) * kMicrosPerMilli;
}

/// Tells the broker, which holds up the next child of that name.
void Supervisor::tell(wire::ChildDied report, FlightFile file) {
  for (ChildState& child : children_) {
    if (child.name == report.worker) child.unheard_us = clock_now().mono_us + kHearUs;
  }
  link_->report(std::move(report), std::move(file));
}

// --- the worker as a whole ---------------------------------------------------------------------

void Supervisor::become_ready() {
  if (said_ready_ || !std::all_of(children_.begin(), children_.end(),
                                  [](const ChildState& child) { return child.ready; })) {
    return;
  }
  said_ready_ = true;
  log::info("worker ready", {{"children", children_.size()}, {"broker", broker_}});
  const char* variable = std::getenv("CALLBOARD_READY_FD");
  if (variable == nullptr) return;
  const int fd = std::atoi(variable);
  [[maybe_unused]] const auto written = ::write(fd, "ready\n", 6);
  ::close(fd);
}

void Supervisor::obey_signals() {
  const int asked = ends_asked.load();
  if (asked == signals_) return;
  signals_ = asked;
  if (!stopping_) return stop_all(SIGTERM);
  log::warning("told to end again: children are killed");
  kill_us_ = clock_now().mono_us;
}

void Supervisor::stop_all(int signal) {
  stopping_ = true;
  kill_us_ = clock_now().mono_us + (options_.drain_timeout_ms + kGraceMs) * kMicrosPerMilli;
  for (const ChildState& child : children_) {
    if (child.process.pid != 0) ::kill(child.process.pid, signal);
  }
}

void Supervisor::kill_late() {
  if (!stopping_ || clock_now().mono_us < kill_us_) return;
  for (ChildState& child : children_) {
    if (child.process.pid == 0 || std::exchange(child.killed, true)) continue;
    ::kill(child.process.pid, SIGKILL);
  }
  kill_us_ = kNever;
}

bool Supervisor::any_running() const {
  return std::any_of(children_.begin(), children_.end(),
                     [](const ChildState& child) { return child.process.pid != 0; });
}

/// Speaks for the children of a supervisor that was killed and took them along.
void Supervisor::report_orphans() {
  if (orphan_looks_ >= kOrphanLooks || clock_now().mono_us < orphans_due_us_) return;
  ++orphan_looks_;
  orphans_due_us_ = clock_now().mono_us + kOrphanPauseUs;
  for (FlightFile& file : orphans(directory_, broker_)) {
    const Result<FlightReport> page = file.read();
    if (!page) {
      file.remove();
      continue;
    }
    log::warning("a child of a supervisor that was killed left its flight recorder",
                 {{"child", page->owner.worker}, {"calls", page->calls.size()}});
    // A signal only when it crashed by itself: else it died with its supervisor, and no call is to
    // blame for that.
    tell(child_died(*page, page->signal, page->signal == 0, {}), std::move(file));
  }
}

}  // namespace callboard::worker
