#include "broker/store/commit_writer.hpp"

#include "common/limits.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

// KEYS: fence, meta, then the keys of the batch. ARGV: token, commit_no, previous commit_no, then
// for each command its name, the index of its key, the number of its arguments, its arguments.
//
// allow-oom: a plain script is refused when memory is full, and then not even an ended call could
// be deleted; accepts are refused by the broker before it comes to that. A script that fails midway
// keeps what it wrote, so commit_no goes last; every change says what a field is to be, not how it
// differs, so writing the batch again makes it whole.
constexpr std::string_view kCommitScript = R"lua(#!lua flags=allow-oom
local fence = redis.call('GET', KEYS[1])
if fence ~= ARGV[1] then return {'FENCED', fence} end
local at = redis.call('HGET', KEYS[2], 'commit_no')
if at ~= ARGV[3] then return {'MOVED', at} end
local i, n = 4, #ARGV
while i <= n do
  local last = i + 2 + ARGV[i + 2]
  redis.call(ARGV[i], KEYS[tonumber(ARGV[i + 1])], unpack(ARGV, i + 3, last))
  i = last + 1
end
redis.call('HSET', KEYS[2], 'commit_no', ARGV[2])
return redis.status_reply('COMMITTED')
)lua";

/// Name, key and number of arguments.
constexpr std::size_t kCommandWords = 3;
/// KEYS[1] and KEYS[2] are the fence and meta.
constexpr std::size_t kFirstKey = 3;

struct Verbs {
  std::string_view set;
  std::string_view erase;
  std::size_t words_per_set;
};

Verbs verbs_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::set: return {"SADD", "SREM", 1};
    case KeyKind::sorted_set: return {"ZADD", "ZREM", 2};
    default: return {"HSET", "HDEL", 2};
  }
}

std::size_t commands_for(std::size_t fields) {
  return (fields + limits::kStorePairsMax - 1) / limits::kStorePairsMax;
}

/// A dropped key holds nothing that could be erased.
std::size_t erases_of(const StoreBatch::Key& key) { return key.drop ? 0 : key.erases.size(); }

std::size_t words_of(const StoreBatch::Key& key) {
  const Verbs verbs = verbs_of(key.kind);
  const std::size_t sets = key.sets.size();
  const std::size_t erases = erases_of(key);
  std::size_t words = sets * verbs.words_per_set + erases;
  words += (commands_for(sets) + commands_for(erases)) * kCommandWords;
  if (key.drop) words += kCommandWords;
  if (key.expire_ms >= 0) words += kCommandWords + (key.expire_ms > 0 ? 1 : 0);
  return words;
}

class KeyWriter {
 public:
  KeyWriter(RespWriter& resp, std::size_t index) : resp_(resp), index_(index) {}

  void write(const StoreBatch::Key& key) {
    if (key.drop) begin("UNLINK", 0);
    if (!key.sets.empty()) sets(key);
    if (erases_of(key) > 0) erases(key);
    if (key.expire_ms == 0) begin("PERSIST", 0);
    if (key.expire_ms > 0) {
      begin("PEXPIRE", 1);
      resp_.number(static_cast<std::uint64_t>(key.expire_ms));
    }
  }

 private:
  void begin(std::string_view verb, std::size_t words) {
    resp_.bulk(verb);
    resp_.number(index_);
    resp_.number(words);
  }

  void sets(const StoreBatch::Key& key) {
    const Verbs verbs = verbs_of(key.kind);
    std::size_t left = key.sets.size();
    std::size_t in_command = 0;
    for (const auto& [field, value] : key.sets) {
      if (in_command == 0) {
        in_command = std::min(left, limits::kStorePairsMax);
        begin(verbs.set, in_command * verbs.words_per_set);
      }
      if (key.kind == KeyKind::sorted_set) resp_.bulk(value);
      resp_.bulk(field);
      if (key.kind == KeyKind::hash) resp_.bulk(value);
      --in_command;
      --left;
    }
  }

  void erases(const StoreBatch::Key& key) {
    std::size_t left = key.erases.size();
    std::size_t in_command = 0;
    for (std::string_view field : key.erases) {
      if (in_command == 0) {
        in_command = std::min(left, limits::kStorePairsMax);
        begin(verbs_of(key.kind).erase, in_command);
      }
      resp_.bulk(field);
      --in_command;
      --left;
    }
  }

  RespWriter& resp_;
  std::size_t index_;
};

}  // namespace

ScriptCommitWriter::ScriptCommitWriter(std::string prefix)
    : prefix_(std::move(prefix)), fence_key_(prefix_ + "fence"), meta_key_(prefix_ + "meta") {}

std::string_view ScriptCommitWriter::script() const { return kCommitScript; }

void ScriptCommitWriter::write(const StoreBatch& batch, const CommitStamp& stamp,
                               OutBuffer& out) const {
  std::size_t words = 3;
  for (const StoreBatch::Key& key : batch.keys()) words += words_of(key);

  RespWriter resp(out);
  const std::size_t keys = 2 + batch.keys().size();
  resp.array(3 + keys + words);
  resp.bulk("EVALSHA");
  resp.bulk(stamp.script_sha);
  resp.number(keys);
  resp.bulk(fence_key_);
  resp.bulk(meta_key_);
  std::string name = prefix_;
  for (const StoreBatch::Key& key : batch.keys()) {
    name.resize(prefix_.size());
    name += key.name;
    resp.bulk(name);
  }
  resp.bulk(stamp.token);
  resp.number(stamp.commit_no);
  resp.number(stamp.previous);
  std::size_t index = kFirstKey;
  for (const StoreBatch::Key& key : batch.keys()) KeyWriter(resp, index++).write(key);
}

}  // namespace callboard::broker
