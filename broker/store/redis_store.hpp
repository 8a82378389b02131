// The store in Redis: the socket under a StoreDialogue.
//
// Driven by the loop that owns it: poll fd() for what wants_read() and wants_write() say, call
// on_ready() when there is something and tick() when next_deadline_us() has come. Nothing here ever
// waits. Thread safety: none.
#pragma once

#include "broker/store/dialogue.hpp"
#include "common/resolver.hpp"
#include "common/time.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace callboard::broker {

class RedisStore {
 public:
  RedisStore(const StoreOptions& options, StoreReader& reader, Resolver resolver = Resolver());
  ~RedisStore();
  RedisStore(const RedisStore&) = delete;
  RedisStore& operator=(const RedisStore&) = delete;

  /// What to poll; -1 when there is nothing to wait for but the deadline.
  int fd() const;
  bool wants_read() const;
  bool wants_write() const;
  /// fd() can be read or written.
  void on_ready(Instant now);
  /// Begins connections and notices what is overdue. The first call begins the first connection.
  void tick(Instant now);
  std::int64_t next_deadline_us() const;

  /// As StoreDialogue says.
  bool idle() const { return dialogue_.idle(); }
  /// Writes what the socket takes at once, the rest from on_ready().
  void write(Instant now, const StoreBatch& batch, std::uint64_t commit_no);
  void read(Instant now, StoreRead read);
  bool standing_by() const { return dialogue_.standing_by(); }
  bool confirmed(Instant now) const { return dialogue_.confirmed(now); }
  void leave(Instant now);
  void begin_timeline(Instant now, const Witness& seen);
  StoreNews& news() { return dialogue_.news(); }
  const StoreState& state() const { return dialogue_.state(); }

 private:
  void open_first(Instant now);
  void open_next(Instant now);
  bool try_open(Instant now, const SocketAddress& address);
  void on_connected(Instant now);
  void read_some(Instant now);
  void write_some(Instant now);
  void close_if_over();

  StoreOptions options_;
  StoreDialogue dialogue_;
  Resolver resolver_;
  std::vector<SocketAddress> addresses_;  ///< still to be tried for this connection
  std::string problem_;                   ///< of the address that was tried last
  std::size_t lookups_ = 0;
  int socket_ = -1;
  bool connecting_ = false;
  std::unique_ptr<char[]> buffer_;
};

}  // namespace callboard::broker
