#include "broker/store/pipeline.hpp"

#include "common/check.hpp"

namespace callboard::broker {

void CommitPipeline::begin(std::uint64_t commit_no) {
  CALLBOARD_CHECK(state_ == State::waiting);
  committed_ = commit_no;
}

void CommitPipeline::stage(const StoreBatch& batch, std::uint64_t commit_no) {
  CALLBOARD_CHECK(state_ == State::waiting);
  CALLBOARD_CHECK(commit_no == committed_ + 1);
  batch_ = &batch;
  commit_no_ = commit_no;
  unknown_ = in_part_ = again_ = false;
  state_ = State::staged;
}

void CommitPipeline::write(std::string_view script_sha, std::string_view token, OutBuffer& out) {
  CALLBOARD_CHECK(state_ == State::staged);
  const std::uint64_t previous = again_ ? commit_no_ : committed_;
  writer_.write(*batch_, {script_sha, token, previous, commit_no_}, out);
  unknown_ = true;
  state_ = State::written;
}

std::size_t CommitPipeline::write(const Transaction& transaction, OutBuffer& out) {
  CALLBOARD_CHECK(state_ == State::staged && !again_);
  unknown_ = in_part_ = true;
  state_ = State::written;
  return transaction.write(*batch_, commit_no_, out);
}

CommitAnswer CommitPipeline::on_exec(const Reply& reply) {
  CALLBOARD_CHECK(in_transaction());
  using Kind = CommitAnswer::Kind;
  state_ = State::staged;
  for (std::size_t i = 0; i < reply.size(); ++i) {
    if (reply[i].is_error()) return {Kind::refused, std::string(reply[i].text())};
  }
  if (reply.size() > 0) return finish();
  if (!reply.is_nil() && reply.error_word() != "EXECABORT") {
    return {Kind::refused, reply.is_error() ? std::string(reply.text())
                                            : "EXEC gave an answer that makes no sense"};
  }
  unknown_ = in_part_ = false;
  return {Kind::not_yet, {}};
}

CommitAnswer CommitPipeline::on_reply(const Reply& reply) {
  CALLBOARD_CHECK(state_ == State::written);
  using Kind = CommitAnswer::Kind;
  state_ = State::staged;
  if (reply.kind() == Reply::Kind::status && reply.text() == "COMMITTED") return finish();
  if (reply.error_word() == "NOSCRIPT") {
    unknown_ = in_part_;
    return {Kind::no_script, std::string(reply.text())};
  }
  if (reply.is_error()) return {Kind::refused, std::string(reply.text())};

  const std::string_view verdict = reply.size() > 0 ? reply[0].text() : std::string_view();
  // A key that is not there is a nil element.
  const std::string found = reply.size() > 1 ? std::string(reply[1].text()) : std::string();
  if (verdict == "FENCED" && found.empty()) {
    return {Kind::went_back, "the fence is gone: Redis was emptied or replaced"};
  }
  if (verdict == "FENCED") return {Kind::fenced, "another broker took over (fence " + found + ")"};
  if (verdict == "MOVED") {
    return {Kind::went_back, "the store is at commit " + (found.empty() ? "none" : found) +
                                 " where this broker left it at " + std::to_string(committed_)};
  }
  return {Kind::refused, "the commit script gave an answer that makes no sense"};
}

void CommitPipeline::on_disconnect() {
  if (state_ == State::written) state_ = State::staged;
}

void CommitPipeline::abandon() {
  state_ = State::waiting;
  batch_ = nullptr;
  unknown_ = in_part_ = again_ = false;
}

CommitAnswer CommitPipeline::resolve(std::uint64_t store_commit_no) {
  CALLBOARD_CHECK(state_ == State::waiting || state_ == State::staged);
  using Kind = CommitAnswer::Kind;
  if (store_commit_no == committed_) {
    unknown_ = in_part_ = again_ = false;
    return {Kind::not_yet, {}};
  }
  if (state_ == State::staged && unknown_ && store_commit_no == commit_no_) {
    if (!in_part_) return finish();
    again_ = true;
    return {Kind::not_yet, {}};
  }
  const std::string at = std::to_string(store_commit_no);
  const std::string left = std::to_string(committed_);
  if (store_commit_no < committed_) {
    return {Kind::went_back,
            "the store went back to commit " + at + ", this broker had seen " + left};
  }
  return {Kind::fenced, "another broker wrote to the store: it is at commit " + at +
                            ", this broker left it at " + left};
}

CommitAnswer CommitPipeline::finish() {
  state_ = State::done;
  unknown_ = in_part_ = again_ = false;
  return {};
}

std::uint64_t CommitPipeline::collect() {
  CALLBOARD_CHECK(state_ == State::done);
  state_ = State::waiting;
  batch_ = nullptr;
  committed_ = commit_no_;
  return commit_no_;
}

}  // namespace callboard::broker
