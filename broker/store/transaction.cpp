#include "broker/store/transaction.hpp"

#include "broker/store/key_commands.hpp"

namespace callboard::broker {

Transaction::Transaction(const std::string& prefix)
    : prefix_(prefix), fence_key_(prefix + "fence"), meta_key_(prefix + "meta") {}

void Transaction::probe(OutBuffer& out) const {
  RespWriter resp(out);
  resp.command({"MULTI"});
  resp.command({"EXEC"});
}

void Transaction::watch(OutBuffer& out) const {
  RespWriter resp(out);
  resp.command({"WATCH", fence_key_});
  resp.command({"GET", fence_key_});
  resp.command({"HGET", meta_key_, "commit_no"});
}

std::size_t Transaction::write(const StoreBatch& batch, std::uint64_t commit_no,
                               OutBuffer& out) const {
  RespWriter resp(out);
  resp.command({"MULTI"});
  std::size_t replies = 1;
  std::string name = prefix_;
  const auto begin = [&](std::string_view verb, std::size_t words) {
    resp.array(2 + words);
    resp.bulk(verb);
    resp.bulk(name);
    ++replies;
  };
  for (const StoreBatch::Key& key : batch.keys()) {
    name.resize(prefix_.size());
    name += key.name;
    KeyCommands(resp, begin).write(key);
  }
  resp.array(4);
  resp.bulk("HSET");
  resp.bulk(meta_key_);
  resp.bulk("commit_no");
  resp.number(commit_no);
  resp.command({"EXEC"});
  return replies + 1;
}

}  // namespace callboard::broker
