#include "tests/sim/store_reader.hpp"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace callboard::sim {

namespace {

using broker::KeyKind;
using broker::OutBuffer;
using broker::Reply;
using broker::ReplyReader;
using broker::RespWriter;

std::string_view scan_verb(KeyKind kind) {
  switch (kind) {
    case KeyKind::set: return "SSCAN";
    case KeyKind::sorted_set: return "ZSCAN";
    default: return "HSCAN";
  }
}

/// What Redis says to [verb, key, cursor, COUNT, n].
void answer(const StoreModel& store, Random& random, const Reply& command, OutBuffer& out) {
  const auto found = store.keys().find(command[1].text());
  RespWriter writer(out);
  writer.array(2);
  if (found == store.keys().end()) {
    writer.bulk("0");
    return writer.array(0);
  }
  const StoreModel::Key& key = found->second;
  if (command[0].text() != scan_verb(key.kind)) {
    out.clear();
    return out.append("-WRONGTYPE it holds another kind of value\r\n");
  }
  std::uint64_t cursor = 0, count = 0;
  broker::parse_number(command[2].text(), cursor);
  broker::parse_number(command[4].text(), count);
  const std::uint64_t end = std::min<std::uint64_t>(cursor + count, key.fields.size());
  std::vector<StoreModel::Fields::const_iterator> page;
  auto at = std::next(key.fields.begin(), static_cast<std::ptrdiff_t>(cursor));
  for (; cursor < end; ++cursor, ++at) page.push_back(at);
  random.shuffle(page);
  writer.bulk(end == key.fields.size() ? "0" : std::to_string(end));
  const bool pairs = key.kind != KeyKind::set;
  writer.array(page.size() * (pairs ? 2 : 1));
  for (const auto& entry : page) {
    writer.bulk(entry->first);
    if (pairs) writer.bulk(entry->second);
  }
}

}  // namespace

std::string read_store(const StoreModel& store, Random& random, broker::StoreLoader::Sink sink,
                       std::uint64_t& entries) {
  broker::StoreLoader loader("", std::move(sink));
  ReplyReader commands, replies;
  while (!loader.finished()) {
    OutBuffer asked;
    std::size_t left = loader.ask(asked);
    commands.feed(asked.view());
    for (; left > 0; --left) {
      const Reply* command = commands.next();
      if (command == nullptr) return "the loader wrote no command";
      OutBuffer out;
      answer(store, random, *command, out);
      replies.feed(out.view());
      const Reply* reply = replies.next();
      if (reply == nullptr) return "the simulated store wrote no reply";
      const std::string problem = loader.on_reply(*reply);
      if (!problem.empty()) return problem;
    }
  }
  entries = loader.entries();
  return {};
}

}  // namespace callboard::sim
