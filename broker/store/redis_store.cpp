#include "broker/store/redis_store.hpp"

#include "common/check.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

namespace callboard::broker {

namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
/// Reads of one turn, so that a store that is being loaded does not keep the loop for itself.
constexpr int kReadsMax = 16;

std::string describe(int error) { return std::generic_category().message(error); }

std::string random_token() {
  unsigned char bytes[16];
  CALLBOARD_CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string token;
  for (unsigned char byte : bytes) {
    token.push_back(kDigits[byte >> 4]);
    token.push_back(kDigits[byte & 15]);
  }
  return token;
}

/// Empty when the path is too long for a socket.
std::vector<SocketAddress> unix_address(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const std::size_t bytes = offsetof(sockaddr_un, sun_path) + path.size() + 1;
  return {{AF_UNIX, std::string(reinterpret_cast<const char*>(&address), bytes)}};
}

void set_option(int socket, int level, int option, int value) {
  setsockopt(socket, level, option, &value, sizeof value);
}

}  // namespace

RedisStore::RedisStore(const StoreOptions& options, StoreReader& reader, Resolver resolver)
    : options_(options),
      dialogue_(options, random_token(), reader),
      resolver_(std::move(resolver)),
      buffer_(new char[kReadBytes]) {}

RedisStore::~RedisStore() {
  if (socket_ >= 0) close(socket_);
}

int RedisStore::fd() const {
  if (socket_ >= 0) return socket_;
  return resolver_.busy() ? resolver_.fd() : -1;
}

bool RedisStore::wants_read() const { return fd() >= 0 && !connecting_; }

bool RedisStore::wants_write() const {
  return socket_ >= 0 && (connecting_ || dialogue_.has_output());
}

std::int64_t RedisStore::next_deadline_us() const {
  // A lookup cannot be given up; until it has ended there is nothing else to begin.
  if (resolver_.busy() && !dialogue_.has_connection()) return kNever;
  return dialogue_.next_deadline_us();
}

void RedisStore::tick(Instant now) {
  const bool overdue = now.mono_us >= dialogue_.next_deadline_us();
  if (overdue && resolver_.busy()) dialogue_.failed(now, "no answer yet to the lookup of its name");
  dialogue_.tick(now);
  close_if_over();
  if (socket_ >= 0 || resolver_.busy()) return write_some(now);
  if (dialogue_.wants_connection(now)) open_first(now);
}

void RedisStore::on_ready(Instant now) {
  if (socket_ < 0 && resolver_.busy()) {
    if (!resolver_.collect(addresses_, problem_)) return;
    // An answer may take longer than a connection may; it is good all the same. Were it thrown
    // away, a name server that is always so slow would keep us from Redis for ever.
    if (dialogue_.resting()) dialogue_.connecting(now);
    // An address that swallows connections must not keep the others from being tried.
    std::rotate(addresses_.begin(),
                addresses_.begin() + static_cast<std::ptrdiff_t>(
                                         addresses_.empty() ? 0 : lookups_++ % addresses_.size()),
                addresses_.end());
    open_next(now);
  } else if (connecting_) {
    on_connected(now);
  } else if (socket_ >= 0) {
    read_some(now);
  }
  write_some(now);
  close_if_over();
}

void RedisStore::write(Instant now, const StoreBatch& batch, std::uint64_t commit_no) {
  dialogue_.commit(now, batch, commit_no);
  write_some(now);
  close_if_over();
}

void RedisStore::read(Instant now, StoreRead read) {
  dialogue_.read(now, std::move(read));
  write_some(now);
}

void RedisStore::leave(Instant now) {
  dialogue_.leave(now);
  write_some(now);
}

void RedisStore::begin_timeline(Instant now, const Witness& seen) {
  dialogue_.begin_timeline(now, seen);
  close_if_over();
}

void RedisStore::open_first(Instant now) {
  dialogue_.connecting(now);
  if (!options_.url.is_unix()) {
    resolver_.start(options_.url.host, options_.url.port);
    return;
  }
  addresses_ = unix_address(options_.url.path);
  problem_ = addresses_.empty() ? "the path of the socket is too long" : "";
  open_next(now);
}

void RedisStore::open_next(Instant now) {
  while (!addresses_.empty() && dialogue_.has_connection()) {
    const SocketAddress address = std::move(addresses_.front());
    addresses_.erase(addresses_.begin());
    if (try_open(now, address)) return;
  }
  dialogue_.failed(now, problem_);
}

bool RedisStore::try_open(Instant now, const SocketAddress& address) {
  socket_ = socket(address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0) {
    problem_ = describe(errno);
    return false;
  }
  if (address.family != AF_UNIX) {
    set_option(socket_, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket_, SOL_SOCKET, SO_KEEPALIVE, 1);
  }
  if (connect(socket_, address.raw(), address.size()) == 0) {
    dialogue_.connected(now);
    return true;
  }
  if (errno == EINPROGRESS) {
    connecting_ = true;
    return true;
  }
  // EAGAIN of a unix socket: Redis's backlog is full; resting is the right answer to that too.
  problem_ = describe(errno);
  close(socket_);
  socket_ = -1;
  return false;
}

void RedisStore::on_connected(Instant now) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  connecting_ = false;
  if (error == 0) return dialogue_.connected(now);
  problem_ = describe(error);
  close(socket_);
  socket_ = -1;
  open_next(now);
}

void RedisStore::read_some(Instant now) {
  for (int reads = 0; reads < kReadsMax && dialogue_.has_connection(); ++reads) {
    const ssize_t got = recv(socket_, buffer_.get(), kReadBytes, 0);
    if (got > 0) {
      dialogue_.received(now, {buffer_.get(), static_cast<std::size_t>(got)});
      if (static_cast<std::size_t>(got) < kReadBytes) return;
    } else if (got == 0) {
      return dialogue_.failed(now, "Redis closed the connection");
    } else if (errno == EAGAIN || errno == EINTR) {
      return;
    } else {
      return dialogue_.failed(now, describe(errno));
    }
  }
}

void RedisStore::write_some(Instant now) {
  if (socket_ < 0 || connecting_) return;
  OutBuffer& output = dialogue_.output();
  while (!output.empty()) {
    const std::string_view bytes = output.view();
    const ssize_t put = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put > 0) {
      output.consume(static_cast<std::size_t>(put));
      dialogue_.sent(now);
    } else if (errno == EAGAIN || errno == EINTR) {
      return;
    } else {
      // Before it hung up Redis may have said why; that tells more than "broken pipe".
      const std::string problem = describe(errno);
      read_some(now);
      return dialogue_.failed(now, problem);
    }
  }
}

void RedisStore::close_if_over() {
  if (dialogue_.has_connection() || socket_ < 0) return;
  close(socket_);
  socket_ = -1;
  connecting_ = false;
  addresses_.clear();
}

}  // namespace callboard::broker
