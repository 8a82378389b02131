// A vector that is made for one element: with one, or none, it has no block of memory of its own.
//
// Thread safety: none. References stay valid until the number of elements changes.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace callboard {

template <class T>
class Few {
 public:
  Few() = default;

  bool empty() const { return size() == 0; }
  std::size_t size() const { return many_ ? many_->size() : has_one_; }
  T* begin() { return many_ ? many_->data() : &one_; }
  T* end() { return begin() + size(); }
  const T* begin() const { return many_ ? many_->data() : &one_; }
  const T* end() const { return begin() + size(); }
  T& operator[](std::size_t i) { return begin()[i]; }
  const T& operator[](std::size_t i) const { return begin()[i]; }
  T& front() { return *begin(); }
  const T& front() const { return *begin(); }

  void push_back(T value) { insert(end(), std::move(value)); }
  /// Before `at`; gives the new element.
  T* insert(const T* at, T value) {
    const std::ptrdiff_t index = at - begin();
    if (!many_ && !has_one_) {
      has_one_ = true;
      one_ = std::move(value);
      return &one_;
    }
    if (!many_) {
      many_ = std::make_unique<std::vector<T>>();
      many_->push_back(std::move(one_));
    }
    return &*many_->insert(many_->begin() + index, std::move(value));
  }
  void clear() { *this = Few(); }
  /// New ones are as T() makes them.
  void resize(std::size_t count) {
    if (many_) return many_->resize(count);
    if (count == 0) return clear();
    if (!std::exchange(has_one_, true)) one_ = T();
    while (size() < count) push_back(T());
  }
  void assign(std::size_t count, const T& value) {
    clear();
    while (size() < count) push_back(value);
  }
  void erase_value(const T& value) {
    if (many_) {
      std::erase(*many_, value);
    } else if (has_one_ && one_ == value) {
      clear();
    }
  }

 private:
  std::unique_ptr<std::vector<T>> many_;
  T one_{};
  bool has_one_ = false;  ///< meaningless when there is many_
};

}  // namespace callboard
