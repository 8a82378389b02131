#include "broker/store/commit_writer.hpp"

#include "broker/store/key_commands.hpp"

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

}  // namespace

ScriptCommitWriter::ScriptCommitWriter(std::string prefix)
    : prefix_(std::move(prefix)), fence_key_(prefix_ + "fence"), meta_key_(prefix_ + "meta") {}

std::string_view ScriptCommitWriter::script() const { return kCommitScript; }

void ScriptCommitWriter::write(const StoreBatch& batch, const CommitStamp& stamp,
                               OutBuffer& out) const {
  std::size_t words = 3;
  for (const StoreBatch::Key& key : batch.keys()) {
    const KeyCommandsSize size(key);
    words += size.commands * kCommandWords + size.words;
  }

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
  const auto begin = [&](std::string_view verb, std::size_t count) {
    resp.bulk(verb);
    resp.number(index);
    resp.number(count);
  };
  for (const StoreBatch::Key& key : batch.keys()) {
    KeyCommands(resp, begin).write(key);
    ++index;
  }
}

}  // namespace callboard::broker
