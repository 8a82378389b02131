// Bytes that are passed on and not copied.
//
//   std::size_t Store::put(callboard::Buffer image);         // lies where it arrived
//   callboard::Buffer Store::get(std::string key);           // the same bytes again: no copy
//   future.get().view()                                       // valid as long as the Buffer is
//
// On the wire it is what Bytes are. Where client, broker and worker share a host, big arguments and
// results lie in shared memory: a method with a Buffer parameter reads what the client wrote, and a
// Buffer that a method was given and returns (or that a future gave and is read elsewhere) is not
// copied at all. A Buffer keeps the block in which it lies, which a copy of the bytes would free.
#pragma once

#include <callboard/value.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace callboard {

/// Immutable bytes that all copies of a Buffer share. Thread safety: like shared_ptr.
class Buffer {
 public:
  Buffer() = default;
  /// Takes over a string, or bytes.
  explicit Buffer(std::string bytes) {
    auto owned = std::make_shared<const std::string>(std::move(bytes));
    view_ = *owned;
    owner_ = std::move(owned);
  }
  explicit Buffer(Bytes bytes) : Buffer(std::move(bytes.data)) {}
  /// `view` stays as it is as long as `owner` lives; `encoded` is the same as a MessagePack value,
  /// if it is at hand.
  Buffer(std::shared_ptr<const void> owner, std::string_view view, std::string_view encoded = {})
      : owner_(std::move(owner)), view_(view), encoded_(encoded) {}

  std::string_view view() const { return view_; }
  std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(view_.data()), view_.size()};
  }
  const char* data() const { return view_.data(); }
  std::size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }

  const std::shared_ptr<const void>& owner() const { return owner_; }
  std::string_view encoded() const { return encoded_; }

  bool operator==(const Buffer& other) const { return view_ == other.view_; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
  std::string_view encoded_;
};

template <>
struct Codec<Buffer> {
  static std::string name() { return "bytes"; }
  static void encode(wire::Writer& out, const Buffer& value) { out.bin(value.view()); }
  static bool decode(Decoder& in, Buffer& value) {
    const char* from = in.reader().rest().data();
    std::string_view view;
    if (in.peek() != wire::Kind::bin || !in.reader().bin(view)) return in.wrong("bytes");
    if (!in.owner()) {
      value = Buffer(std::string(view));
      return true;
    }
    const auto header = static_cast<std::size_t>(view.data() - from);
    value = Buffer(in.owner(), view, {from, header + view.size()});
    return true;
  }
};

namespace detail {

/// Bytes or text of which a value consists, where they are: they go into a message without a copy
/// in between.
struct PlainBytes {
  std::string_view view;
  bool text = false;
};

/// A value of this size and more is worth the detour.
inline constexpr std::size_t kLentBytesMin = 16 * 1024;

template <class T>
inline constexpr bool kPlainBytes = std::is_same_v<T, Bytes> || std::is_same_v<T, Buffer> ||
                                    std::is_same_v<T, std::string> ||
                                    std::is_same_v<T, std::vector<std::uint8_t>> ||
                                    std::is_same_v<T, std::vector<std::byte>>;

template <class T>
PlainBytes plain_bytes(const T& value) {
  if constexpr (std::is_same_v<T, Bytes>) {
    return {value.data, false};
  } else if constexpr (std::is_same_v<T, Buffer>) {
    return {value.view(), false};
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return {std::string_view(value), true};
  } else {
    return {{reinterpret_cast<const char*>(value.data()), value.size()}, false};
  }
}

}  // namespace detail

}  // namespace callboard
