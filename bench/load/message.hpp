// What every system under test carries: numbered messages with a checksum, and who checks them.
//
//   argument   client (4 bytes) | actor (4) | number (8) | filling | checksum of all before (8)
//   result     the same with another checksum, so that nobody can send back what he did not look
//              at; zero instead of it when the argument was damaged or out of order
//
// Thread safety: an Inspector belongs to one actor, or to the one thread that plays several.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

constexpr std::size_t kMessageMin = 24;

struct Head {
  std::uint32_t client = 0;
  std::uint32_t actor = 0;
  std::uint64_t number = 0;
};

inline Head head_of(std::string_view message) {
  Head head;
  std::memcpy(&head, message.data(), sizeof head);
  return head;
}

inline std::uint64_t checksum(const char* data, std::size_t bytes) {
  std::uint64_t sum = 0x9e3779b97f4a7c15;
  for (; bytes >= 8; data += 8, bytes -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data, 8);
    sum = (sum ^ word) * 0xff51afd7ed558ccd;
    sum ^= sum >> 32;
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, data, bytes);
  return ((sum ^ rest) * 0xc4ceb9fe1a85ec53) | 1;
}

inline std::uint64_t sum_of_argument(const char* message, std::size_t bytes) {
  return checksum(message, bytes - 8);
}
inline std::uint64_t sum_of_result(const char* message, std::size_t bytes) {
  return checksum(message, bytes - 8) ^ 0xff00;
}
inline std::uint64_t sum_in(std::string_view message) {
  std::uint64_t sum = 0;
  std::memcpy(&sum, message.data() + message.size() - 8, 8);
  return sum;
}
inline void put_sum(char* message, std::size_t bytes, std::uint64_t sum) {
  std::memcpy(message + bytes - 8, &sum, 8);
}

/// Makes `message`, whose filling is there already, the argument of this head.
inline void seal(std::string& message, const Head& head) {
  std::memcpy(message.data(), &head, sizeof head);
  put_sum(message.data(), message.size(), sum_of_argument(message.data(), message.size()));
}

/// The echo's side: turns arguments into results, and sees that those of one client and actor come
/// in the order of their numbers.
class Inspector {
 public:
  enum class Order {
    per_actor,  ///< it plays all actors
    one_actor,  ///< all messages go to the same one, whatever they say
    any,        ///< for what promises no order
  };
  explicit Inspector(Order order = Order::per_actor) : order_(order) {}

  void answer(char* message, std::size_t bytes) {
    std::uint64_t sum = 0;
    if (bytes >= kMessageMin &&
        sum_in({message, bytes}) == sum_of_argument(message, bytes) &&
        (order_ == Order::any || in_order(message))) {
      sum = sum_of_result(message, bytes);
    }
    if (bytes >= 8) put_sum(message, bytes, sum);
  }

 private:
  bool in_order(const char* message) {
    Head head;
    std::memcpy(&head, message, sizeof head);
    if (head.client >= next_.size()) next_.resize(head.client + 1);
    auto& actors = next_[head.client];
    const std::size_t actor = order_ == Order::one_actor ? 0 : head.actor;
    if (actor >= actors.size()) actors.resize(actor + 1);
    auto& next = actors[actor];
    const bool right = head.number >= next;
    next = head.number + 1;
    return right;
  }

  Order order_;
  std::vector<std::vector<std::uint64_t>> next_;  ///< by client and actor
};

}  // namespace bench
