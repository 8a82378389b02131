#include "broker/store/resolver.hpp"

#include "common/check.hpp"

#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <memory>

namespace callboard::broker {

Resolver::Resolver() : event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CALLBOARD_CHECK(event_fd_ >= 0);
}

Resolver::~Resolver() {
  if (thread_.joinable()) thread_.join();
  close(event_fd_);
}

void Resolver::start(const std::string& host, std::uint16_t port) {
  CALLBOARD_CHECK(!busy_);
  busy_ = true;
  answered_ = false;
  look_up(host, port, true);
  if (!addresses_.empty()) return announce();
  // The program's signals are for its own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, host, port] {
    look_up(host, port, false);
    announce();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Resolver::announce() {
  answered_.store(true, std::memory_order_release);
  eventfd_write(event_fd_, 1);
}

void Resolver::look_up(const std::string& host, std::uint16_t port, bool numbers_only) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (numbers_only ? AI_NUMERICHOST : 0);
  addrinfo* found = nullptr;
  error_ = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  addresses_.clear();
  for (const addrinfo* each = found; error_ == 0 && each != nullptr; each = each->ai_next) {
    addresses_.push_back({each->ai_family, std::string(reinterpret_cast<const char*>(each->ai_addr),
                                                       each->ai_addrlen)});
  }
}

bool Resolver::collect(std::vector<SocketAddress>& addresses, std::string& problem) {
  if (!busy_ || !answered_.load(std::memory_order_acquire)) return false;
  if (thread_.joinable()) thread_.join();
  eventfd_t count = 0;
  eventfd_read(event_fd_, &count);
  busy_ = false;
  addresses = std::move(addresses_);
  addresses_.clear();
  problem = addresses.empty() ? gai_strerror(error_) : "";
  return true;
}

}  // namespace callboard::broker
