// Redis's protocol (RESP 2): commands written by hand, replies read with hiredis's parser.
//
// No I/O. Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

struct redisReply;
struct redisReader;

namespace callboard::broker {

/// Bytes on their way out: appended at the end, taken from the front.
class OutBuffer {
 public:
  /// Room for `bytes` more at the returned place; advance() says how many were written there.
  char* room(std::size_t bytes) {
    if (capacity_ - end_ < bytes) make_room(bytes);
    return bytes_.get() + end_;
  }
  void advance(std::size_t bytes) { end_ += bytes; }
  void append(std::string_view bytes);

  bool empty() const { return begin_ == end_; }
  std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
  void consume(std::size_t bytes);
  /// Drops the contents, and memory beyond what one usual batch needs.
  void clear();

 private:
  void make_room(std::size_t bytes);

  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// Writes commands: array(n), then n times bulk() or number().
class RespWriter {
 public:
  explicit RespWriter(OutBuffer& out) : out_(out) {}

  void array(std::size_t n) { header('*', n); }
  void bulk(std::string_view bytes);
  void number(std::uint64_t value);
  /// A whole command.
  void command(std::initializer_list<std::string_view> words);

 private:
  void header(char type, std::uint64_t value);

  OutBuffer& out_;
};

/// One reply, or an element of one. Borrows from the ReplyReader until its next next().
class Reply {
 public:
  enum class Kind : std::uint8_t { text, status, error, integer, nil, array };

  explicit Reply(const redisReply* reply) : reply_(reply) {}

  Kind kind() const;
  bool is_error() const { return kind() == Kind::error; }
  bool is_nil() const { return kind() == Kind::nil; }
  bool is_array() const { return kind() == Kind::array; }
  /// The bytes of a text, status or error; empty for all else.
  std::string_view text() const;
  std::int64_t integer() const;
  /// Elements of an array; 0 for all else.
  std::size_t size() const;
  /// REQUIRES: index < size()
  Reply operator[](std::size_t index) const;
  /// The first word of an error: "NOSCRIPT", "LOADING", ...
  std::string_view error_word() const;

 private:
  const redisReply* reply_;
};

/// Cuts a stream of bytes into replies.
class ReplyReader {
 public:
  ReplyReader();
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  void feed(std::string_view bytes);
  /// Takes `reply` off the front of `bytes`, which were not fed yet, when it is the next one: then
  /// it need not be read. False: feed them.
  bool take(std::string_view& bytes, std::string_view reply) const;
  /// The next whole reply; null when more bytes are needed or the stream is broken.
  const Reply* next();
  /// What is wrong with the stream; empty while it is well-formed.
  std::string problem() const;
  /// For a new connection.
  void reset();

 private:
  void free_reply();

  redisReader* reader_ = nullptr;
  redisReply* held_ = nullptr;
  Reply reply_{nullptr};
};

/// An error that passes by itself, or when somebody repairs Redis.
bool is_passing(std::string_view error_word);

/// A whole decimal number; false when the text is anything else.
bool parse_number(std::string_view text, std::uint64_t& value);

}  // namespace callboard::broker
