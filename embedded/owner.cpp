#include "embedded/owner.hpp"

#include "common/clock.hpp"
#include "embedded/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace callboard::embedded {

namespace {

constexpr int kConnectionThere = 3;
constexpr int kLockThere = 4;
constexpr std::size_t kReportBytesMax = 64 * 1024;

}  // namespace

Owner::Owner(Owner&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), keeper_(std::exchange(other.keeper_, 0)) {}

Owner::~Owner() { stop(std::chrono::milliseconds(0)); }

Result<Owner> Owner::start_keeper(const std::string& callboard, const Plan& plan, int lock_fd) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return {Errc::internal, std::strerror(errno)};
  }
  Owner owner;
  owner.fd_ = pair[0];
  const auto pid =
      spawn_program({.command = {callboard, "keep", "--fd", std::to_string(kConnectionThere)},
                     .environment = {},
                     .descriptors = {{pair[1], kConnectionThere}, {lock_fd, kLockThere}}});
  ::close(pair[1]);
  if (!pid) return {pid.code(), "the keeper cannot be started: " + pid.text()};
  owner.keeper_ = *pid;
  const auto bytes = encode(plan);
  if (::send(owner.fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) {
    return {Errc::internal, std::string("the keeper cannot be told: ") + std::strerror(errno)};
  }
  return owner;
}

std::vector<Report> Owner::receive(std::chrono::milliseconds timeout) {
  std::vector<Report> reports;
  std::string buffer(kReportBytesMax, '\0');
  pollfd waiting{fd_, POLLIN, 0};
  int wait_ms = static_cast<int>(std::clamp<std::int64_t>(timeout.count(), 0, INT32_MAX));
  while (fd_ >= 0 && ::poll(&waiting, 1, wait_ms) > 0) {
    const auto n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      close();
      break;
    }
    auto report = decode_report({buffer.data(), static_cast<std::size_t>(n)});
    if (report) reports.push_back(std::move(*report));
    wait_ms = 0;
  }
  return reports;
}

void Owner::stop(std::chrono::milliseconds timeout) noexcept {
  if (keeper_ == 0) return;
  const auto until = clock_now().mono_us + timeout.count() * kMicrosPerMilli;
  if (fd_ >= 0) ::shutdown(fd_, SHUT_WR);
  try {
    while (fd_ >= 0 && clock_now().mono_us < until) {
      receive(std::chrono::milliseconds((until - clock_now().mono_us) / kMicrosPerMilli + 1));
    }
  } catch (const std::bad_alloc&) {
    // Nothing that it tells now matters; it is killed below.
  }
  if (fd_ >= 0) ::kill(keeper_, SIGKILL);
  close();
  ::waitpid(keeper_, nullptr, 0);
  keeper_ = 0;
}

void Owner::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace callboard::embedded
