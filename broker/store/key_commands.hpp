// The commands that apply one key's changes: deleted first, then set, erased, and what expires.
//
// A command takes at most kStorePairsMax pairs. No I/O. Thread safety: none.
#pragma once

#include "broker/store/batch.hpp"
#include "broker/store/resp.hpp"
#include "common/limits.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace callboard::broker {

struct KeyVerbs {
  std::string_view set;
  std::string_view erase;
  std::size_t words_per_set;
};

inline KeyVerbs verbs_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::set: return {"SADD", "SREM", 1};
    case KeyKind::sorted_set: return {"ZADD", "ZREM", 2};
    default: return {"HSET", "HDEL", 2};
  }
}

/// A dropped key holds nothing that could be erased.
inline std::size_t erases_of(const StoreBatch::Key& key) {
  return key.drop ? 0 : key.erases.size();
}

/// So many commands and words KeyCommands writes, without those that `begin` writes.
struct KeyCommandsSize {
  std::size_t commands = 0;
  std::size_t words = 0;

  explicit KeyCommandsSize(const StoreBatch::Key& key) {
    add(key.sets.size(), verbs_of(key.kind).words_per_set);
    add(erases_of(key), 1);
    commands += (key.drop ? 1 : 0) + (key.expire_ms >= 0 ? 1 : 0);
    words += key.expire_ms > 0 ? 1 : 0;
  }

 private:
  void add(std::size_t fields, std::size_t words_each) {
    commands += (fields + limits::kStorePairsMax - 1) / limits::kStorePairsMax;
    words += fields * words_each;
  }
};

/// `begin(verb, words)` writes what goes before the words of a command.
template <class Begin>
class KeyCommands {
 public:
  KeyCommands(RespWriter& resp, const Begin& begin) : resp_(resp), begin_(begin) {}

  void write(const StoreBatch::Key& key) {
    if (key.drop) begin_("UNLINK", 0);
    if (!key.sets.empty()) sets(key);
    if (erases_of(key) > 0) erases(key);
    if (key.expire_ms == 0) begin_("PERSIST", 0);
    if (key.expire_ms > 0) {
      begin_("PEXPIRE", 1);
      resp_.number(static_cast<std::uint64_t>(key.expire_ms));
    }
  }

 private:
  void sets(const StoreBatch::Key& key) {
    const KeyVerbs verbs = verbs_of(key.kind);
    std::size_t left = key.sets.size();
    std::size_t in_command = 0;
    for (const auto& [field, value] : key.sets) {
      if (in_command == 0) {
        in_command = std::min(left, limits::kStorePairsMax);
        begin_(verbs.set, in_command * verbs.words_per_set);
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
        begin_(verbs_of(key.kind).erase, in_command);
      }
      resp_.bulk(field);
      --in_command;
      --left;
    }
  }

  RespWriter& resp_;
  const Begin& begin_;
};

}  // namespace callboard::broker
