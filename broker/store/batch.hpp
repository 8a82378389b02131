// A group commit being built: changes to the store's keys, grouped by key.
//
// Pure data; the core fills it, a store applies it as one unit. Names of keys are without the
// prefix "callboard:{k}:". Thread safety: none.
// Within one batch the last operation on a field wins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace callboard::broker {

/// What kind of Redis key an entry is.
enum class KeyKind : std::uint8_t { hash, set, sorted_set };

class StoreBatch {
 public:
  /// All changes of one key.
  struct Key {
    KeyKind kind = KeyKind::hash;
    std::string name;
    bool drop = false;                ///< DEL first, then the rest
    std::vector<std::pair<std::string, std::string>> sets;  ///< field, value (sorted set: score)
    std::vector<std::string> erases;  ///< applied after sets
    std::int64_t expire_ms = -1;      ///< PEXPIRE, 0: PERSIST, -1: leave
  };

  /// Index of the key in this batch; valid until clear().
  std::uint32_t key(KeyKind kind, std::string_view name);
  void set(std::uint32_t key, std::string_view field, std::string_view value);
  void erase(std::uint32_t key, std::string_view field);
  void drop(std::uint32_t key);
  void expire(std::uint32_t key, std::int64_t ms);  ///< ms = 0 takes the expiry away

  bool empty() const { return keys_.empty(); }
  std::size_t bytes() const { return bytes_; }
  const std::vector<Key>& keys() const { return keys_; }
  void clear();

 private:
  std::vector<Key> keys_;
  std::unordered_map<std::string, std::uint32_t> index_;
  std::size_t bytes_ = 0;
};

}  // namespace callboard::broker
