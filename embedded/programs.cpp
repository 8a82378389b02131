#include "embedded/programs.hpp"

#include <callboard/embedded.hpp>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace callboard {

std::string this_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

namespace embedded {

namespace {

constexpr std::uint16_t kPortMin = 20'000;
constexpr std::uint16_t kPortMax = 32'000;
constexpr int kPortTries = 200;

bool is_program(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

std::string on_path(std::string_view name) {
  const char* value = std::getenv("PATH");
  std::string_view path = value != nullptr ? value : "/usr/local/bin:/usr/bin:/bin";
  while (!path.empty()) {
    const auto colon = std::min(path.find(':'), path.size());
    const auto candidate = std::string(path.substr(0, colon)) + "/" + std::string(name);
    if (colon > 0 && is_program(candidate)) return candidate;
    path.remove_prefix(std::min(colon + 1, path.size()));
  }
  return {};
}

/// `given` or the variable, which then must be a program; empty text when neither is set.
Result<std::string> named(const std::string& given, const char* variable) {
  const char* value = std::getenv(variable);
  const std::string path = !given.empty() ? given : value != nullptr ? value : "";
  if (path.empty() || is_program(path)) return path;
  const std::string who = given.empty() ? std::string("$") + variable + ": " : "";
  return {Errc::invalid_option, who + path + " is not a program"};
}

}  // namespace

bool is_free_port(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int on = 1;  // as ZeroMQ does, so that both mean the same by "free"
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return bound;
}

Result<std::string> find_callboard(const std::string& given) {
  auto path = named(given, "CALLBOARD_BIN");
  if (!path || !path->empty()) return path;
  const auto here = std::filesystem::path(this_program()).parent_path();
  for (const auto* place :
       {"callboard", "../bin/callboard", "../cli/callboard", "../../cli/callboard"}) {
    const auto candidate = (here / place).lexically_normal().string();
    if (is_program(candidate)) return candidate;
  }
  auto found = on_path("callboard");
  if (!found.empty()) return found;
  return {Errc::invalid_option,
          "the program callboard is neither beside this program nor on the PATH; "
          "CALLBOARD_BIN can name it"};
}

Result<std::string> find_redis_server(const std::string& given) {
  auto path = named(given, "CALLBOARD_REDIS_SERVER");
  if (!path || !path->empty()) return path;
  auto found = on_path("redis-server");
  if (!found.empty()) return found;
  return {Errc::invalid_option,
          "redis-server is not on the PATH; install it, or name it with CALLBOARD_REDIS_SERVER"};
}

Result<std::uint16_t> find_free_port() {
  std::random_device random;
  std::uniform_int_distribution<int> ports(kPortMin, kPortMax);
  for (int i = 0; i < kPortTries; ++i) {
    const auto port = static_cast<std::uint16_t>(ports(random));
    if (is_free_port(port)) return port;
  }
  return {Errc::internal, "no free port was found between " + std::to_string(kPortMin) + " and " +
                              std::to_string(kPortMax)};
}

}  // namespace embedded
}  // namespace callboard
