#include "common/resolver.hpp"

#include "common/check.hpp"

#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <thread>
#include <utility>

namespace callboard {

namespace {

std::string look_up_address(const std::string& host, std::uint16_t port, int flags,
                            std::vector<SocketAddress>& addresses) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return gai_strerror(error);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    addresses.push_back(copy_of(each->ai_addr, each->ai_addrlen));
  }
  return addresses.empty() ? "it has no address" : "";
}

std::string ask_system(const std::string& host, std::uint16_t port,
                       std::vector<SocketAddress>& addresses) {
  return look_up_address(host, port, 0, addresses);
}

}  // namespace

SocketAddress copy_of(const sockaddr* address, std::size_t bytes) {
  return {address->sa_family, std::string(reinterpret_cast<const char*>(address), bytes)};
}

std::vector<SocketAddress> numeric_addresses(const std::string& host, std::uint16_t port) {
  std::vector<SocketAddress> addresses;
  (void)look_up_address(host, port, AI_NUMERICHOST, addresses);
  return addresses;
}

/// Shared by the owner and the thread that looks up, so that either may go first.
struct Resolver::Answer {
  const int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::atomic<bool> there{false};
  // Written before `there`, read after it.
  std::string problem;
  std::vector<SocketAddress> addresses;

  Answer() { CALLBOARD_CHECK(event_fd >= 0); }
  ~Answer() { close(event_fd); }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  void announce() {
    there.store(true, std::memory_order_release);
    eventfd_write(event_fd, 1);
  }
};

Resolver::Resolver() : Resolver(ask_system) {}

Resolver::Resolver(LookUp look_up) : look_up_(std::move(look_up)) {}

Resolver::~Resolver() = default;
Resolver::Resolver(Resolver&&) noexcept = default;
Resolver& Resolver::operator=(Resolver&&) noexcept = default;

void Resolver::start(const std::string& host, std::uint16_t port) {
  CALLBOARD_CHECK(!busy());
  asked_ = std::make_shared<Answer>();
  asked_->addresses = numeric_addresses(host, port);
  if (!asked_->addresses.empty()) return asked_->announce();
  // The program's signals are for its own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([answer = asked_, look_up = look_up_, host, port] {
    answer->problem = look_up(host, port, answer->addresses);
    answer->announce();
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

int Resolver::fd() const { return asked_->event_fd; }

bool Resolver::collect(std::vector<SocketAddress>& addresses, std::string& problem) {
  if (!busy() || !asked_->there.load(std::memory_order_acquire)) return false;
  addresses = std::move(asked_->addresses);
  problem = std::move(asked_->problem);
  asked_.reset();
  return true;
}

std::string text_of(const SocketAddress& address) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (getnameinfo(address.raw(), address.size(), host.data(), host.size(), port.data(), port.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return {};
  }
  const std::string text = host.data();
  if (address.family == AF_INET) return text + ":" + port.data();
  return address.family == AF_INET6 ? "[" + text + "]:" + port.data() : std::string();
}

}  // namespace callboard
