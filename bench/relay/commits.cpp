#include "bench/relay/commits.hpp"

#include <stdexcept>

#include <hiredis/hiredis.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr std::string_view kHash = "relay:calls";
constexpr std::string_view kFence = "relay:fence";

void append(std::string& out, std::string_view word) {
  out += '$';
  out += std::to_string(word.size());
  out += "\r\n";
  out += word;
  out += "\r\n";
}

std::string command(std::string_view name, std::uint64_t words) {
  std::string out = "*" + std::to_string(words) + "\r\n";
  append(out, name);
  return out;
}

struct Reply {
  ~Reply() {
    if (reply != nullptr) ::freeReplyObject(reply);
  }
  redisReply* reply = nullptr;
};

}  // namespace

void Commits::Free::operator()(redisContext* context) const { ::redisFree(context); }

Commits::Commits(const std::string& path)
    : redis_(::redisConnectUnix(path.c_str())), token_(std::to_string(::getpid())) {
  if (redis_ == nullptr || redis_->err != 0) throw std::runtime_error("no Redis at " + path);
  Reply set, watch;
  set.reply = static_cast<redisReply*>(
      ::redisCommand(redis_.get(), "SET %s %s", kFence.data(), token_.c_str()));
  watch.reply = static_cast<redisReply*>(::redisCommand(redis_.get(), "WATCH %s", kFence.data()));
  if (set.reply == nullptr || watch.reply == nullptr) throw std::runtime_error("Redis is gone");
  redis_->flags &= ~REDIS_BLOCK;
}

Commits::~Commits() = default;

void Commits::add(std::string_view id, std::string_view message) {
  append(added_, id);
  append(added_, message);
  ++added_count_;
}

void Commits::remove(std::string_view id) {
  append(removed_, id);
  ++removed_count_;
}

void Commits::flush() {
  if (busy_ || added_count_ + removed_count_ == 0) return;
  std::string out = command("MULTI", 1);
  replies_left_ = 1;
  if (added_count_ > 0) {
    out += command("HSET", 2 + 2 * added_count_);
    append(out, kHash);
    out += added_;
    ++replies_left_;
  }
  if (removed_count_ > 0) {
    out += command("HDEL", 2 + removed_count_);
    append(out, kHash);
    out += removed_;
    ++replies_left_;
  }
  // The fence is watched from the end of this commit on, and read, for the next one.
  out += command("EXEC", 1) + command("WATCH", 2);
  append(out, kFence);
  out += command("GET", 2);
  append(out, kFence);
  replies_left_ += 3;
  added_.clear();
  removed_.clear();
  added_count_ = removed_count_ = 0;
  busy_ = true;
  if (::redisAppendFormattedCommand(redis_.get(), out.data(), out.size()) != REDIS_OK) {
    throw std::runtime_error("Redis: no memory");
  }
  write();
}

void Commits::write() {
  // The socket takes a commit at once, or Redis reads while this waits; there is nothing to do
  // meanwhile that could not be done after it.
  for (int done = 0; done == 0;) {
    if (::redisBufferWrite(redis_.get(), &done) != REDIS_OK) {
      throw std::runtime_error(std::string("Redis: ") + redis_->errstr);
    }
  }
}

bool Commits::finished() {
  if (!busy_) return false;
  if (::redisBufferRead(redis_.get()) != REDIS_OK) {
    throw std::runtime_error(std::string("Redis: ") + redis_->errstr);
  }
  while (replies_left_ > 0) {
    Reply next;
    void* raw = nullptr;
    if (::redisGetReplyFromReader(redis_.get(), &raw) != REDIS_OK) {
      throw std::runtime_error(std::string("Redis: ") + redis_->errstr);
    }
    if (raw == nullptr) return false;
    next.reply = static_cast<redisReply*>(raw);
    --replies_left_;
    const bool exec = replies_left_ == 2;
    const bool fence = replies_left_ == 0;
    if (next.reply->type == REDIS_REPLY_ERROR || (exec && next.reply->type != REDIS_REPLY_ARRAY) ||
        (fence && token_ != std::string_view(next.reply->str, next.reply->len))) {
      throw std::runtime_error("a commit was refused");
    }
  }
  busy_ = false;
  return true;
}

int Commits::descriptor() const { return redis_->fd; }

}  // namespace bench
