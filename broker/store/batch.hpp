// A group commit being built: changes to the store's keys, grouped by key.
//
// Pure data; the core fills it, a store applies it as one unit. Names of keys are without the
// prefix "callboard:{k}:". Thread safety: none.
// Within one batch the last operation on a field wins, so the sets and the erases of one key never
// name the same field and may be applied in any order.
// Bytes live in blocks that are kept from one batch to the next: in the steady state a change
// allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::broker {

/// What kind of Redis key an entry is.
enum class KeyKind : std::uint8_t { hash, set, sorted_set };

/// Memory for bytes that live until clear(). Addresses stay what they are.
class ByteArena {
 public:
  char* allocate(std::size_t bytes);
  std::string_view copy(std::string_view bytes);
  void clear();  ///< keeps some blocks for the next use

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };
  std::vector<Block> blocks_;    ///< of the common size, reused
  std::vector<Block> outsized_;  ///< one value each, freed by clear()
  std::size_t current_ = 0;      ///< block being filled
  std::size_t used_ = 0;         ///< bytes of it
};

/// Finds numbers by what they stand for; the caller says when two are the same.
class IndexTable {
 public:
  /// The slot that holds a number for which `same(number)` is true, or the empty slot for it.
  template <class Same>
  std::uint32_t* find(std::uint32_t hash, const Same& same) {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      if (slots_[at] == 0 || same(slots_[at] - 1)) return &slots_[at];
    }
  }
  /// `numbers` of which `filled` are in the table: the others have the hash 0.
  /// REQUIRES: called before each find() that may fill an empty slot.
  template <class HashOf>
  void make_room(std::size_t filled, std::size_t numbers, const HashOf& hash_of) {
    if ((filled + 1) * 4 > slots_.size() * 3) grow(numbers, hash_of);
  }
  template <class HashOf>
  void clear(std::size_t numbers, const HashOf& hash_of);

  static bool vacant(const std::uint32_t* slot) { return *slot == 0; }
  static std::uint32_t number(const std::uint32_t* slot) { return *slot - 1; }
  static void fill(std::uint32_t* slot, std::uint32_t number) { *slot = number + 1; }

 private:
  template <class HashOf>
  void grow(std::size_t numbers, const HashOf& hash_of);

  std::vector<std::uint32_t> slots_;  ///< number + 1; 0: empty. The size is a power of two.
};

class StoreBatch {
  struct Entry;
  struct KeyRecord;

 public:
  /// The fields of one key that are set (or erased). A view; valid until the batch changes.
  template <bool kSets>
  class Fields {
   public:
    using Item = std::conditional_t<kSets, std::pair<std::string_view, std::string_view>,
                                    std::string_view>;

    class Iterator {
     public:
      using iterator_category = std::input_iterator_tag;
      using value_type = Item;
      using difference_type = std::ptrdiff_t;
      using pointer = const Item*;
      using reference = Item;

      Item operator*() const;
      Iterator& operator++();
      bool operator==(const Iterator& other) const { return at_ == other.at_; }

     private:
      friend class Fields;
      Iterator(const Entry* entries, std::uint32_t at) : entries_(entries), at_(at) { settle(); }
      void settle();

      const Entry* entries_;
      std::uint32_t at_;
    };

    Iterator begin() const { return {entries_, first_}; }
    Iterator end() const { return {entries_, UINT32_MAX}; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

   private:
    friend class StoreBatch;
    const Entry* entries_ = nullptr;
    std::uint32_t first_ = UINT32_MAX;
    std::size_t size_ = 0;
  };

  /// All changes of one key. A view; valid until the batch changes.
  struct Key {
    KeyKind kind = KeyKind::hash;
    std::string_view name;
    bool drop = false;             ///< DEL first, then the rest
    Fields<true> sets;             ///< field, value (sorted set: score; set: ignored)
    Fields<false> erases;
    std::int64_t expire_ms = -1;   ///< PEXPIRE, 0: PERSIST, -1: leave
  };

  /// The keys of a batch, in the order of their first change.
  class Keys {
   public:
    class Iterator {
     public:
      using iterator_category = std::input_iterator_tag;
      using value_type = Key;
      using difference_type = std::ptrdiff_t;
      using pointer = const Key*;
      using reference = Key;

      Key operator*() const { return batch_->view(at_); }
      Iterator& operator++() { return ++at_, *this; }
      bool operator==(const Iterator& other) const { return at_ == other.at_; }

     private:
      friend class Keys;
      Iterator(const StoreBatch* batch, std::size_t at) : batch_(batch), at_(at) {}

      const StoreBatch* batch_;
      std::size_t at_;
    };

    Iterator begin() const { return {batch_, 0}; }
    Iterator end() const { return {batch_, size()}; }
    std::size_t size() const { return batch_->keys_.size(); }
    bool empty() const { return size() == 0; }
    Key operator[](std::size_t index) const { return batch_->view(index); }

   private:
    friend class StoreBatch;
    explicit Keys(const StoreBatch* batch) : batch_(batch) {}

    const StoreBatch* batch_;
  };

  StoreBatch() = default;
  StoreBatch(const StoreBatch& other);
  StoreBatch& operator=(const StoreBatch& other);
  StoreBatch(StoreBatch&& other) noexcept { swap(other); }
  StoreBatch& operator=(StoreBatch&& other) noexcept;
  ~StoreBatch() = default;
  void swap(StoreBatch& other) noexcept;

  /// Index of the key in this batch; valid until clear().
  /// REQUIRES: a name is always used with the same kind.
  std::uint32_t key(KeyKind kind, std::string_view name);
  void set(std::uint32_t key, std::string_view field, std::string_view value);
  void erase(std::uint32_t key, std::string_view field);
  /// As set() and erase(), but quicker: nothing is looked up and nothing is copied.
  /// REQUIRES: the batch says nothing of the field yet; the bytes stay as they are until clear().
  /// (Bytes that do not are given to keep() first.)
  void add_set(std::uint32_t key, std::string_view field, std::string_view value);
  void add_erase(std::uint32_t key, std::string_view field);
  /// A copy that lives until clear().
  std::string_view keep(std::string_view bytes);
  /// Forgets what the batch said about the key so far, and deletes the key.
  void drop(std::uint32_t key);
  void expire(std::uint32_t key, std::int64_t ms);  ///< ms = 0 takes the expiry away

  bool empty() const { return keys_.empty(); }
  /// Memory that the changes take here, about; what overwritten values took counts too.
  std::size_t bytes() const { return bytes_; }
  Keys keys() const { return Keys(this); }
  void clear();

 private:
  /// What happens to one field. The entries of a key form a list.
  struct Entry {
    const char* field = nullptr;
    char* value = nullptr;
    std::uint32_t field_bytes = 0;
    std::uint32_t value_bytes = 0;
    std::uint32_t value_room = 0;  ///< bytes at `value` that a later set may overwrite
    std::uint32_t key = 0;
    std::uint32_t next = UINT32_MAX;
    std::uint32_t hash = 0;  ///< 0: it is not in the index
    bool sets = false;

    std::string_view field_view() const { return {field, field_bytes}; }
    std::string_view value_view() const { return {value, value_bytes}; }
  };
  struct KeyRecord {
    std::string_view name;
    std::int64_t expire_ms = -1;
    std::uint32_t hash = 0;
    std::uint32_t first = UINT32_MAX;
    std::uint32_t last = UINT32_MAX;
    std::uint32_t valid_from = 0;  ///< entries below it were dropped
    std::uint32_t sets = 0;
    std::uint32_t erases = 0;
    KeyKind kind = KeyKind::hash;
    bool drop = false;
    bool loose = false;  ///< some of its entries are not in the index
  };

  Entry& entry(std::uint32_t key, std::string_view field);
  Entry& add(std::uint32_t key, std::string_view field);
  void index(std::uint32_t entry);
  void index_all(std::uint32_t key);
  Key view(std::size_t index) const;

  ByteArena arena_;
  std::vector<Entry> entries_;
  std::vector<KeyRecord> keys_;
  std::size_t indexed_ = 0;  ///< of the entries
  IndexTable entry_index_;
  IndexTable key_index_;
  std::size_t bytes_ = 0;
};

template <bool kSets>
void StoreBatch::Fields<kSets>::Iterator::settle() {
  while (at_ != UINT32_MAX && entries_[at_].sets != kSets) at_ = entries_[at_].next;
}

template <bool kSets>
typename StoreBatch::Fields<kSets>::Iterator& StoreBatch::Fields<kSets>::Iterator::operator++() {
  at_ = entries_[at_].next;
  settle();
  return *this;
}

template <bool kSets>
typename StoreBatch::Fields<kSets>::Item StoreBatch::Fields<kSets>::Iterator::operator*() const {
  if constexpr (kSets) {
    return {entries_[at_].field_view(), entries_[at_].value_view()};
  } else {
    return entries_[at_].field_view();
  }
}

}  // namespace callboard::broker
