#include "broker/store/resp.hpp"

#include "common/check.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace callboard::broker {

namespace {

constexpr std::size_t kBufferBytesMin = 64 * 1024;
/// What an idle connection may hold on to.
constexpr std::size_t kBufferBytesKept = 8 * 1024 * 1024;
/// Type, 20 digits, CRLF.
constexpr std::size_t kHeaderBytesMax = 24;

char* put_header(char* at, char type, std::uint64_t value) {
  *at++ = type;
  if (value < 10) {  // most headers: the length of a number, a field, a short word
    *at++ = static_cast<char>('0' + value);
  } else {
    at = std::to_chars(at, at + 20, value).ptr;
  }
  *at++ = '\r';
  *at++ = '\n';
  return at;
}

}  // namespace

bool is_passing(std::string_view error_word) {
  static constexpr std::array<std::string_view, 13> kPassing = {
      "LOADING",     "BUSY",     "READONLY", "MISCONF",   "OOM",    "MASTERDOWN", "NOREPLICAS",
      "CLUSTERDOWN", "TRYAGAIN", "NOAUTH",   "WRONGPASS", "NOPERM", "NOSCRIPT"};
  return std::find(kPassing.begin(), kPassing.end(), error_word) != kPassing.end();
}

void OutBuffer::make_room(std::size_t bytes) {
  const std::size_t used = end_ - begin_;
  if (capacity_ - used >= bytes && begin_ >= capacity_ / 2) {
    std::memmove(bytes_.get(), bytes_.get() + begin_, used);
  } else {
    const std::size_t capacity = std::max({kBufferBytesMin, capacity_ * 2, used + bytes});
    std::unique_ptr<char[]> grown(new char[capacity]);
    if (used > 0) std::memcpy(grown.get(), bytes_.get() + begin_, used);
    bytes_ = std::move(grown);
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = used;
}

void OutBuffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
  advance(bytes.size());
}

void OutBuffer::consume(std::size_t bytes) {
  CALLBOARD_CHECK(bytes <= end_ - begin_);
  begin_ += bytes;
  if (begin_ == end_) clear();
}

void OutBuffer::clear() {
  begin_ = 0;
  end_ = 0;
  if (capacity_ > kBufferBytesKept) {
    bytes_.reset();
    capacity_ = 0;
  }
}

void RespWriter::header(char type, std::uint64_t value) {
  char* at = out_.room(kHeaderBytesMax);
  out_.advance(static_cast<std::size_t>(put_header(at, type, value) - at));
}

void RespWriter::bulk(std::string_view bytes) {
  char* begin = out_.room(kHeaderBytesMax + bytes.size() + 2);
  char* at = put_header(begin, '$', bytes.size());
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  at += bytes.size();
  *at++ = '\r';
  *at++ = '\n';
  out_.advance(static_cast<std::size_t>(at - begin));
}

void RespWriter::number(std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  bulk({digits, static_cast<std::size_t>(end - digits)});
}

void RespWriter::command(std::initializer_list<std::string_view> words) {
  array(words.size());
  for (std::string_view word : words) bulk(word);
}

Reply::Kind Reply::kind() const {
  switch (reply_->type) {
    case REDIS_REPLY_STRING: return Kind::text;
    case REDIS_REPLY_STATUS: return Kind::status;
    case REDIS_REPLY_ERROR: return Kind::error;
    case REDIS_REPLY_INTEGER: return Kind::integer;
    case REDIS_REPLY_ARRAY: return Kind::array;
    default: return Kind::nil;
  }
}

std::string_view Reply::text() const {
  switch (kind()) {
    case Kind::text:
    case Kind::status:
    case Kind::error: return {reply_->str, static_cast<std::size_t>(reply_->len)};
    default: return {};
  }
}

std::int64_t Reply::integer() const { return kind() == Kind::integer ? reply_->integer : 0; }

std::size_t Reply::size() const { return is_array() ? reply_->elements : 0; }

Reply Reply::operator[](std::size_t index) const {
  CALLBOARD_CHECK(index < size());
  return Reply(reply_->element[index]);
}

std::string_view Reply::error_word() const {
  if (!is_error()) return {};
  const std::string_view all = text();
  return all.substr(0, all.find(' '));
}

ReplyReader::ReplyReader() { reset(); }

ReplyReader::~ReplyReader() {
  free_reply();
  redisReaderFree(reader_);
}

void ReplyReader::free_reply() {
  if (held_ != nullptr) freeReplyObject(held_);
  held_ = nullptr;
}

void ReplyReader::reset() {
  free_reply();
  if (reader_ != nullptr) redisReaderFree(reader_);
  reader_ = redisReaderCreate();
  CALLBOARD_CHECK(reader_ != nullptr);
}

void ReplyReader::feed(std::string_view bytes) {
  redisReaderFeed(reader_, bytes.data(), bytes.size());  // a failure stays in reader_->err
}

bool ReplyReader::take(std::string_view& bytes, std::string_view reply) const {
  const bool read_all = reader_->err == 0 && reader_->ridx < 0 && reader_->pos == reader_->len;
  if (!read_all || !bytes.starts_with(reply)) return false;
  bytes.remove_prefix(reply.size());
  return true;
}

const Reply* ReplyReader::next() {
  free_reply();
  void* reply = nullptr;
  if (reader_->err != 0 || redisReaderGetReply(reader_, &reply) != REDIS_OK) return nullptr;
  if (reply == nullptr) return nullptr;
  held_ = static_cast<redisReply*>(reply);
  reply_ = Reply(held_);
  return &reply_;
}

std::string ReplyReader::problem() const {
  return reader_->err == 0 ? std::string() : std::string(reader_->errstr);
}

bool parse_number(std::string_view text, std::uint64_t& value) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

}  // namespace callboard::broker
