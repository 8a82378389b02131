// Immutable bytes that many may hold: how a big payload passes through without being copied.
//
// Thread safety: like shared_ptr; the bytes themselves never change.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace callboard {

/// Reference-counted immutable bytes, whoever allocated them.
class Blob {
 public:
  Blob() = default;
  /// Takes over a string.
  explicit Blob(std::string bytes) {
    auto owned = std::make_shared<const std::string>(std::move(bytes));
    view_ = *owned;
    owner_ = std::move(owned);
  }
  /// `view` stays valid as long as `owner` lives.
  Blob(std::shared_ptr<const void> owner, std::string_view view)
      : owner_(std::move(owner)), view_(view) {}

  std::string_view view() const { return view_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }
  std::size_t size() const { return view_.size(); }
  explicit operator bool() const { return owner_ != nullptr; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace callboard
