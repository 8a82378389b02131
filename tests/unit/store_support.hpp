// Redis's side of the wire, for tests of the store that have no Redis.
#pragma once

#include "broker/store/resp.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {

using Words = std::vector<std::string>;

/// Takes the commands that are in the buffer; a command is an array of strings, just like a reply.
inline std::vector<Words> take_commands(OutBuffer& out) {
  ReplyReader reader;
  reader.feed(out.view());
  out.clear();
  std::vector<Words> commands;
  while (const Reply* command = reader.next()) {
    Words words;
    for (std::size_t i = 0; i < command->size(); ++i) words.emplace_back((*command)[i].text());
    commands.push_back(std::move(words));
  }
  EXPECT_EQ(reader.problem(), "");
  return commands;
}

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

inline std::string bulks(const Words& words) {
  std::string all = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) all += bulk(word);
  return all;
}

/// A page of HSCAN, SSCAN or ZSCAN.
inline std::string page(std::string_view cursor, const Words& fields) {
  return "*2\r\n" + bulk(cursor) + bulks(fields);
}

/// So many keys a loader asks for whatever the store holds.
inline constexpr int kEmptyStorePages = 10;

/// Holds one reply, given as the bytes that Redis sends.
class WireReply {
 public:
  explicit WireReply(std::string_view bytes) {
    reader_.feed(bytes);
    reply_ = reader_.next();
    EXPECT_NE(reply_, nullptr) << bytes;
  }
  operator const Reply&() const { return *reply_; }  // NOLINT: implicit on purpose

 private:
  ReplyReader reader_;
  const Reply* reply_ = nullptr;
};

}  // namespace callboard::broker
