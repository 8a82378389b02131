#include "embedded/keeper.hpp"

#include "common/clock.hpp"
#include "embedded/process.hpp"
#include "embedded/redis_ping.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace callboard::embedded {

namespace {

constexpr int kReadyFdThere = 3;
constexpr std::size_t kPlanBytesMax = 1 << 20;
constexpr std::int64_t kRedisAskEveryMs = 3;
/// A process that lived longer than this had a good life; its next death is counted from one.
constexpr std::int64_t kLivedMs = 10'000;
constexpr int kDeathsMax = 4;
constexpr std::int64_t kPollMsMax = 60'000;
constexpr std::int64_t kBackoffMs = 50;
/// Nobody waits for what is left behind, so it gets little time.
constexpr std::int64_t kPatienceWithoutOwnerMs = 1'000;

std::int64_t now_ms() { return clock_now().mono_us / kMicrosPerMilli; }

void close_fd(int& fd) {
  if (fd >= 0) ::close(std::exchange(fd, -1));
}

}  // namespace

Keeper::Keeper(int owner_fd, Plan plan) : owner_fd_(owner_fd), plan_(std::move(plan)) {
  for (const auto& child : plan_.children) children_.push_back({.plan = child});
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // what a child leaves behind comes to us
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT}) sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signal_fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  // The connection alone is not enough: a process that the owner forked may hold its other end.
  owner_process_fd_ = static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0));
}

Keeper::~Keeper() {
  for (auto& child : children_) close_fd(child.ready_fd);
  close_fd(signal_fd_);
  close_fd(owner_process_fd_);
}

int Keeper::run() {
  while (!stopping_) {
    const auto now = now_ms();
    advance(now);
    if (stopping_) break;
    wait_for_events(next_due_ms(now));
    reap(now_ms());
  }
  end_all();
  std::error_code ignored;  // what stays is removed as a leftover by the next start
  std::filesystem::remove_all(plan_.runtime_dir, ignored);
  tell(Report::Kind::stopped);
  return failed_ ? 1 : 0;
}

void Keeper::tell(Report::Kind kind, const Child* child, std::string text) {
  Report report{.kind = kind, .child = {}, .pid = 0, .text = std::move(text)};
  if (child != nullptr) {
    report.child = child->plan.name;
    report.pid = child->pid;
  }
  const auto bytes = encode(report);
  // An owner that does not read loses news, and never holds up the keeper.
  [[maybe_unused]] const auto sent =
      ::send(owner_fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Keeper::fail(std::string why) {
  if (failed_) return;
  failed_ = true;
  stopping_ = true;
  tell(Report::Kind::failed, nullptr, std::move(why));
}

/// Starts what is due, in order: a child starts when all before it have been ready once.
void Keeper::advance(std::int64_t now) {
  for (auto& child : children_) {
    if (child.state == State::waiting && now >= child.next_ms) start(child, now);
    if (stopping_) return;
    if (child.state == State::starting) {
      if (child.plan.ready_when == ReadyWhen::redis_pong && now >= child.next_ms) {
        ask_redis(child, now);
      }
      if (child.state == State::starting && now - child.started_ms > plan_.ready_timeout_ms) {
        return fail(child.plan.name + " was not ready after " +
                    std::to_string(plan_.ready_timeout_ms) + " ms");
      }
    }
    if (!child.was_ready) return;
  }
  if (!all_ready_) {
    all_ready_ = true;
    tell(Report::Kind::ready);
  }
}

void Keeper::start(Child& child, std::int64_t now) {
  SpawnRequest request{
      .command = child.plan.command, .environment = child.plan.environment, .descriptors = {}};
  std::array<int, 2> ready{-1, -1};
  int log = -1;
  if (child.plan.ready_when == ReadyWhen::said) {
    if (::pipe2(ready.data(), O_CLOEXEC | O_NONBLOCK) != 0) return fail(std::strerror(errno));
    request.descriptors.emplace_back(ready[1], kReadyFdThere);
    request.environment.push_back("CALLBOARD_READY_FD=" + std::to_string(kReadyFdThere));
  }
  if (!child.plan.log_path.empty()) {
    log = ::open(child.plan.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return fail(child.plan.log_path + ": " + std::strerror(errno));
    request.descriptors.emplace_back(log, STDOUT_FILENO);
    request.descriptors.emplace_back(log, STDERR_FILENO);
  }
  const auto pid = spawn_child(request);
  close_fd(log);
  close_fd(ready[1]);
  child.ready_fd = ready[0];
  if (!pid) return fail(child.plan.name + " cannot be started: " + pid.text());
  child.pid = *pid;
  child.state = State::starting;
  child.started_ms = now;
  child.next_ms = now;
  tell(Report::Kind::started, &child);
  if (child.plan.ready_when == ReadyWhen::started) become_ready(child);
}

void Keeper::ask_redis(Child& child, std::int64_t now) {
  child.next_ms = now + kRedisAskEveryMs;
  if (child.ready_fd < 0) child.ready_fd = send_redis_ping(child.plan.ready_path);
}

void Keeper::read_ready(Child& child, std::int64_t now) {
  std::array<char, 256> buffer{};
  const auto n = ::read(child.ready_fd, buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const std::string_view said(buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  close_fd(child.ready_fd);
  if (child.plan.ready_when == ReadyWhen::said) {
    if (said.find('\n') != std::string_view::npos) become_ready(child);
    return;  // otherwise it closed the pipe, or died, which SIGCHLD tells
  }
  if (is_redis_pong(said)) return become_ready(child);
  child.next_ms = now + kRedisAskEveryMs;  // it is still loading its data
}

void Keeper::become_ready(Child& child) {
  close_fd(child.ready_fd);
  child.state = State::ready;
  child.was_ready = true;
  tell(Report::Kind::ready, &child);
}

std::int64_t Keeper::next_due_ms(std::int64_t now) const {
  std::int64_t due = kNever;
  for (const auto& child : children_) {
    const bool asking =
        child.state == State::starting && child.plan.ready_when == ReadyWhen::redis_pong;
    if (child.state == State::waiting || (asking && child.ready_fd < 0)) {
      due = std::min(due, std::max(child.next_ms, now));
    }
    if (child.state == State::starting) {
      due = std::min(due, child.started_ms + plan_.ready_timeout_ms + 1);
    }
    if (!child.was_ready) break;
  }
  return due;
}

void Keeper::wait_for_events(std::int64_t until_ms) {
  std::vector<pollfd> fds = {{signal_fd_, POLLIN, 0}};
  std::vector<Child*> asked;
  if (!stopping_) {  // once it is stopping, only the ends of the children matter
    fds.push_back({owner_fd_, POLLIN, 0});
    fds.push_back({owner_process_fd_, POLLIN, 0});  // poll() passes over -1
    for (auto& child : children_) {
      if (child.ready_fd < 0) continue;
      fds.push_back({child.ready_fd, POLLIN, 0});
      asked.push_back(&child);
    }
  }
  const auto left_ms =
      until_ms == kNever ? -1 : std::clamp<std::int64_t>(until_ms - now_ms(), 0, kPollMsMax);
  if (::poll(fds.data(), fds.size(), static_cast<int>(left_ms)) <= 0) return;
  signalfd_siginfo info{};
  while (::read(signal_fd_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD) stopping_ = true;
  }
  if (fds.size() == 1) return;
  if (fds[1].revents != 0) {  // after the plan the owner sends nothing: this is the end
    stopping_ = true;
    owner_gone_ = (fds[1].revents & POLLHUP) != 0;
  }
  if (fds[2].revents != 0) stopping_ = owner_gone_ = true;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (fds[3 + i].revents != 0) read_ready(*asked[i], now_ms());
  }
}

void Keeper::reap(std::int64_t now) {
  for (;;) {
    siginfo_t info{};
    // First only looked at: while it is a zombie its group cannot be another's.
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    const pid_t pid = info.si_pid;
    const auto child = std::find_if(children_.begin(), children_.end(),
                                    [pid](const Child& other) { return other.pid == pid; });
    if (child != children_.end()) ::kill(-pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (child != children_.end()) child_ended(*child, status, now);
  }
}

void Keeper::child_ended(Child& child, int status, std::int64_t now) {
  auto text = child.plan.name + " (pid " + std::to_string(child.pid) + ") ended with " +
              describe_status(status);
  const auto lived_ms = now - child.started_ms;
  close_fd(child.ready_fd);
  child.pid = 0;
  child.state = State::waiting;
  if (stopping_) return;
  if (!child.was_ready) return fail(text + " before it was ready");
  if (!plan_.restart) return fail(text);
  child.deaths = lived_ms > kLivedMs ? 1 : child.deaths + 1;
  if (child.deaths > kDeathsMax)
    return fail(text + " for the " + std::to_string(child.deaths) + "th time in a row");
  child.next_ms = now + (kBackoffMs << child.deaths);
  tell(Report::Kind::ended, &child, text + "; it is started again");
}

void Keeper::end_all() {
  stopping_ = true;
  const auto patience = owner_gone_ ? kPatienceWithoutOwnerMs : plan_.stop_timeout_ms;
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) end(*child, patience);
  end_strays();
}

void Keeper::end(Child& child, std::int64_t patience_ms) {
  if (child.pid == 0) return;
  const pid_t group = child.pid;
  ::kill(child.pid, SIGTERM);
  const auto until = now_ms() + patience_ms;
  reap(now_ms());
  while (child.pid != 0 && now_ms() < until) {
    wait_for_events(until);
    reap(now_ms());
  }
  if (child.pid == 0) return;
  ::kill(-group, SIGKILL);
  ::waitpid(group, nullptr, 0);
  child.pid = 0;
}

void Keeper::end_strays() {
  for (auto strays = children_of_this_process(); !strays.empty();
       strays = children_of_this_process()) {
    for (const pid_t pid : strays) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
}

int run_keeper(int owner_fd) {
  std::string bytes(kPlanBytesMax, '\0');
  const auto n = ::recv(owner_fd, bytes.data(), bytes.size(), 0);
  if (n <= 0) return 1;
  bytes.resize(static_cast<std::size_t>(n));
  auto plan = decode_plan(bytes);
  if (!plan) return 1;
  return Keeper(owner_fd, std::move(*plan)).run();
}

}  // namespace callboard::embedded
