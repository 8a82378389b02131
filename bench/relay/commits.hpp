// The least that a durable relay writes: one field of a hash for each message that came, deleted
// when its answer has come, in a transaction that fails if another one owns the store. One commit
// at a time is on its way; what comes meanwhile is in the next. Shares nothing with Callboard.
// Thread safety: none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct redisContext;

namespace bench {

class Commits {
 public:
  /// Connects to Redis's unix socket and takes the fence. Throws std::runtime_error.
  explicit Commits(const std::string& path);
  ~Commits();

  /// `id` is 16 bytes that no other message has.
  void add(std::string_view id, std::string_view message);
  void remove(std::string_view id);
  /// Sends what was added and removed, unless there is nothing or a commit is on its way.
  void flush();
  /// Reads what Redis has answered, without waiting. True when a commit has gone through.
  bool finished();
  bool busy() const { return busy_; }
  int descriptor() const;

 private:
  struct Free {
    void operator()(redisContext* context) const;
  };
  std::unique_ptr<redisContext, Free> redis_;
  std::string token_;
  std::string added_, removed_;
  std::uint64_t added_count_ = 0, removed_count_ = 0;
  int replies_left_ = 0;
  bool busy_ = false;

  void write();
};

}  // namespace bench
