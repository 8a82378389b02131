// The dialogue's commits: transactions while the fence is watched. The first one of a connection,
// and every one that a transaction did not apply, is the script's.
#include "broker/store/dialogue.hpp"

#include "common/check.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

/// A commit that Redis refuses this often in a row, for no passing reason, is refused for good.
constexpr int kRefusalsMax = 3;
/// After a transaction that Redis refused, so that a lasting reason does not double every commit.
constexpr std::int64_t kScriptsOnlyMs = 1000;

}  // namespace

// --- commits -------------------------------------------------------------------------------------

bool StoreDialogue::idle() const {
  return phase_ == Phase::ready && pipeline_.state() == CommitPipeline::State::waiting;
}

void StoreDialogue::commit(Instant now, const StoreBatch& batch, std::uint64_t commit_no) {
  CALLBOARD_CHECK(idle());
  if (asked_.empty()) progress_us_ = now.mono_us;
  commit_asked_us_ = now.mono_us;
  pipeline_.stage(batch, commit_no);
  script_was_gone_ = false;
  write_commit(now);
}

void StoreDialogue::write_commit(Instant now) {
  if (guard_ == Guard::set && !memory_.full() && now.mono_us >= scripts_until_us_) {
    return write_transaction();
  }
  pipeline_.write(script_sha_, fence_.token(), output_);
  ask(Asked::commit);
}

void StoreDialogue::on_commit(Instant now, const Reply& reply) {
  const CommitAnswer answer = pipeline_.on_reply(reply);
  switch (answer.kind) {
    case CommitAnswer::Kind::committed:
      confirmed_us_ = std::max(confirmed_us_, commit_asked_us_);
      committed();
      if (guard_ == Guard::none && now.mono_us >= scripts_until_us_) set_guard();
      return;
    case CommitAnswer::Kind::no_script:
      if (script_was_gone_) return rest(now, "Redis forgets scripts as soon as they are loaded");
      script_was_gone_ = true;
      RespWriter(output_).command({"SCRIPT", "LOAD", writer_.script()});
      ask(Asked::script);
      return write_commit(now);
    case CommitAnswer::Kind::not_yet:
    case CommitAnswer::Kind::refused:
      return on_refused_commit(now, answer.text);
    case CommitAnswer::Kind::fenced:
      return end(answer.text);
    case CommitAnswer::Kind::went_back:
      return went_back(now, answer.text);
  }
}

void StoreDialogue::on_refused_commit(Instant now, const std::string& text) {
  const std::string_view word = std::string_view(text).substr(0, text.find(' '));
  if (!is_passing(word) && ++refusals_ >= kRefusalsMax) {
    return end("Redis refuses commit " + std::to_string(pipeline_.commit_no()) + ": " + text);
  }
  rest(now, "Redis refuses a commit: " + text);
}

void StoreDialogue::committed() {
  refusals_ = 0;
  backoff_ms_ = 0;
  state_.commit_no = pipeline_.collect();
  news_.events.emplace_back(Committed{state_.commit_no});
}

void StoreDialogue::resolve(Instant now, std::uint64_t store_commit_no) {
  const CommitAnswer answer = pipeline_.resolve(store_commit_no);
  switch (answer.kind) {
    case CommitAnswer::Kind::committed:
      committed();
      break;
    case CommitAnswer::Kind::not_yet:
      if (pipeline_.state() == CommitPipeline::State::staged) write_commit(now);
      break;
    case CommitAnswer::Kind::went_back:
      return went_back(now, answer.text);
    default:
      return end(answer.text);
  }
  become_ready(now);
}

// --- transactions --------------------------------------------------------------------------------

void StoreDialogue::set_guard() {
  // A MULTI that is refused would let what follows it run at once and without the fence.
  transaction_.probe(output_);
  ask(Asked::probe_exec);
  ask(Asked::probe_exec);
  watch_fence();
}

void StoreDialogue::watch_fence() {
  transaction_.watch(output_);
  ask(Asked::guard);
  ask(Asked::guard_fence);
  ask(Asked::guard_commit);
  guard_ = Guard::asked;
}

void StoreDialogue::write_transaction() {
  const std::size_t replies = pipeline_.write(transaction_, output_);
  ask(Asked::multi);
  for (std::size_t i = 1; i < replies; ++i) ask(Asked::queued);
  ask(Asked::exec);
  watch_fence();
}

/// Most answers say that a transaction goes on.
void StoreDialogue::skip_queued(std::string_view& bytes) {
  while (!asked_.empty()) {
    const Asked what = asked_.front();
    if (what != Asked::multi && what != Asked::queued) return;
    if (!replies_.take(bytes, what == Asked::multi ? "+OK\r\n" : "+QUEUED\r\n")) return;
    asked_.pop_front();
  }
}

void StoreDialogue::on_transaction(Instant now, Asked what, const Reply& reply) {
  switch (what) {
    case Asked::multi:
      if (reply.is_error()) rest(now, "Redis refuses MULTI: " + std::string(reply.text()));
      return;
    case Asked::queued:
      return;  // an error makes EXEC do nothing
    case Asked::exec:
      return on_exec(now, reply);
    default:
      return on_guard(what, reply);
  }
}

void StoreDialogue::on_exec(Instant now, const Reply& reply) {
  const CommitAnswer answer = pipeline_.on_exec(reply);
  switch (answer.kind) {
    case CommitAnswer::Kind::committed:
      confirmed_us_ = std::max(confirmed_us_, commit_asked_us_);
      return committed();
    case CommitAnswer::Kind::not_yet:
      // The fence was touched, or memory is full: the script says which, or does it all the same.
      scripts_until_us_ = now.mono_us + kScriptsOnlyMs * kMicrosPerMilli;
      return write_commit(now);
    default:
      return on_refused_commit(now, answer.text);
  }
}

void StoreDialogue::on_guard(Asked what, const Reply& reply) {
  if (guard_ == Guard::off) return;
  if (reply.is_error()) {
    guard_ = Guard::off;  // this user may not, or a proxy in between does not know it
  } else if (what == Asked::guard_fence && reply.text() != fence_.token()) {
    guard_ = Guard::none;
  } else if (what == Asked::guard_commit && guard_ == Guard::asked) {
    std::uint64_t commit_no = 0;
    const bool ours = parse_number(reply.text(), commit_no) && commit_no == pipeline_.committed();
    guard_ = ours ? Guard::set : Guard::none;
  }
}

}  // namespace callboard::broker
