#include "tests/sim/store_model.hpp"

#include "common/check.hpp"

#include <algorithm>

namespace callboard::sim {

StoreModel::Answer StoreModel::commit(std::int64_t now_us, std::uint64_t token,
                                      std::uint64_t commit_no, const broker::StoreBatch& batch) {
  expire(now_us);
  if (token != token_) {
    ++counts_.fenced;
    return Answer::fenced;
  }
  if (keep_undo_) {
    Undo undo{numbers_.commit_no, {}};
    for (const auto& change : batch.keys()) {
      const auto found = keys_.find(change.name);
      undo.keys.emplace_back(std::string(change.name),
                             found == keys_.end() ? std::nullopt : std::optional(found->second));
    }
    undo_.push_back(std::move(undo));
  }
  for (const auto& change : batch.keys()) apply(now_us, change);
  CALLBOARD_CHECK(commit_no > numbers_.commit_no);
  numbers_.commit_no = commit_no;
  ++counts_.commits;
  return Answer::applied;
}

void StoreModel::apply(std::int64_t now_us, const broker::StoreBatch::Key& change) {
  auto found = keys_.find(change.name);
  if (found != keys_.end() && change.drop) {
    keys_.erase(found);
    found = keys_.end();
  }
  if (found == keys_.end()) {
    if (change.sets.empty()) return;
    found = keys_.emplace(std::string(change.name), Key{change.kind, {}, -1}).first;
  }
  Key& key = found->second;
  CALLBOARD_CHECK(key.kind == change.kind);
  for (const auto [field, value] : change.sets) {
    key.fields.insert_or_assign(std::string(field), std::string(value));
    ++counts_.fields_written;
  }
  for (const std::string_view field : change.erases) {
    const auto at = key.fields.find(field);
    if (at != key.fields.end()) key.fields.erase(at);
  }
  if (key.fields.empty()) {
    keys_.erase(found);  // as in Redis, with its expiry
    return;
  }
  if (change.expire_ms == 0) key.expires_us = -1;
  if (change.expire_ms > 0) {
    key.expires_us = now_us + change.expire_ms * 1000;
    expiries_.emplace(key.expires_us, std::string(change.name));
  }
}

void StoreModel::expire(std::int64_t now_us) {
  while (!expiries_.empty() && expiries_.begin()->first <= now_us) {
    const auto found = keys_.find(expiries_.begin()->second);
    if (found != keys_.end() && found->second.expires_us == expiries_.begin()->first) {
      keys_.erase(found);
      ++counts_.expired;
    }
    expiries_.erase(expiries_.begin());
  }
}

std::size_t StoreModel::length(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? 0 : found->second.fields.size();
}

std::uint64_t StoreModel::lose_power() {
  const std::uint64_t lost = undo_.size();
  for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) {
    for (auto& [name, before] : undo->keys) {
      if (before) keys_[name] = std::move(*before);
      else keys_.erase(name);
    }
    numbers_.commit_no = undo->commit_no;
  }
  undo_.clear();
  token_ = 0;  // nobody is connected any more
  return lost;
}

const StoreModel::Numbers& StoreModel::begin_run(const std::optional<broker::Witness>& witness) {
  ++numbers_.epoch;
  if (!witness) return numbers_;
  numbers_.epoch = std::max(numbers_.epoch, witness->epoch + 1);
  if (numbers_.timeline <= witness->timeline) {
    numbers_.timeline = witness->timeline + 1;
    numbers_.commit_no = std::max(numbers_.commit_no, witness->commit_no);
  }
  return numbers_;
}

void StoreModel::back_up() { backup_ = Backup{keys_, numbers_, expiries_}; }

std::uint64_t StoreModel::go_back() {
  CALLBOARD_CHECK(backup_);
  const std::uint64_t lost = numbers_.commit_no - backup_->numbers.commit_no;
  keys_ = backup_->keys;
  numbers_ = backup_->numbers;
  expiries_ = backup_->expiries;
  undo_.clear();
  token_ = 0;  // nobody is connected any more
  return lost;
}

}  // namespace callboard::sim
