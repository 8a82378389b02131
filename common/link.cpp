#include "common/link.hpp"

#include "common/check.hpp"
#include "common/limits.hpp"

#include <algorithm>
#include <utility>

namespace callboard::wire {

namespace {

constexpr std::uint64_t kSpareFrames = 8;  ///< heads kept for reuse

/// A goodbye that another try, here or at another endpoint, may cure.
bool may_retry(Errc code) {
  switch (code) {
    case Errc::ok:
    case Errc::stopping:
    case Errc::disconnected:
    case Errc::store_unavailable:
    case Errc::store_full:
      return true;
    default:
      return false;
  }
}

}  // namespace

// --- LinkOut ------------------------------------------------------------------------------------

FrameWriter LinkOut::message() {
  if (frames_.empty() || FrameWriter(frames_.back(), epoch_).full()) {
    frames_.emplace_back();
    if (!spare_.empty()) {
      frames_.back().head = std::move(spare_.back());
      spare_.pop_back();
      frames_.back().head.clear();
    }
  }
  return FrameWriter(frames_.back(), epoch_);
}

void LinkOut::clear() {
  connect.reset();
  log.clear();
  for (Frame& frame : frames_) {
    if (spare_.size() < kSpareFrames && frame.head.capacity() > 0) {
      spare_.push_back(std::move(frame.head));
    }
  }
  frames_.clear();
}

// --- Link ---------------------------------------------------------------------------------------

Link::Link(LinkOptions options) : options_(options) {
  CALLBOARD_CHECK(options_.endpoints > 0);
}

void Link::add(LinkMember& member, Side side) {
  CALLBOARD_CHECK(state_ == State::idle);
  LinkMember*& place = members_[static_cast<std::size_t>(side)];
  CALLBOARD_CHECK(place == nullptr);
  place = &member;
}

void Link::start(Instant now, LinkOut& out) {
  CALLBOARD_CHECK(state_ == State::idle);
  connect(now, out);
}

void Link::connect(Instant now, LinkOut& out) {
  ++connects_;
  out.frames_.clear();
  out.connect = endpoint_;
  say_hello(now, out);
}

void Link::connect_next(Instant now, std::string_view why, LinkOut& out) {
  if (state_ == State::ready) {
    out.log.emplace_back(1, "connection lost: " + std::string(why));
  }
  disconnected(now, out);
  endpoint_ = (endpoint_ + 1) % options_.endpoints;
  connect(now, out);
}

void Link::disconnected(Instant now, LinkOut& out) {
  out.frames_.clear();
  if (state_ != State::ready) return;
  state_ = State::connecting;
  for (LinkMember* member : members_) {
    if (member) member->on_disconnected(now);
  }
}

void Link::say_hello(Instant now, LinkOut& out) {
  state_ = State::connecting;
  const auto rounds = static_cast<int>(std::min<std::uint64_t>(tries_ / options_.endpoints, 8));
  const std::int64_t wait_ms = std::min(options_.hello_ms << rounds, options_.hello_ms_max);
  ++tries_;
  due_us_ = now.mono_us + wait_ms * kMicrosPerMilli;
  ping_sent_us_ = kNever;
  timed_ping_ = 0;
  hello_sent_us_ = now.mono_us;
  Hello hello;
  hello.epoch_seen = epoch_seen_;
  hello.run_seen = run_seen_;
  hello.timeline = timeline_;
  hello.commit_no = commit_no_;
  for (LinkMember* member : members_) {
    if (member) member->fill_hello(hello);
  }
  out.epoch_ = epoch_seen_;
  FrameWriter writer = out.message();
  write(writer, hello);
  last_sent_us_ = now.mono_us;
}

void Link::on_frame(Instant now, const FrameView& frame, LinkOut& out) {
  if (state_ != State::connecting && state_ != State::ready) return;
  FrameReader in(frame);
  std::uint64_t version = 0;
  if (!in.header(version, frame_epoch_)) {
    out.log.emplace_back(2, "a frame that is not of our protocol was dropped");
    return;
  }
  if (version < limits::kProtocolVersionMin || version > limits::kProtocolVersionMax) {
    out.log.emplace_back(2, "a frame of protocol version " + std::to_string(version) +
                                " was dropped");
    return;
  }
  if (frame_epoch_ < epoch_seen_) return;  // an older broker run speaks: nothing it says counts
  if (std::exchange(epoch_seen_, frame_epoch_) != frame_epoch_) run_seen_ = 0;
  last_heard_us_ = now.mono_us;
  ping_sent_us_ = kNever;
  while (!in.at_end() && (state_ == State::connecting || state_ == State::ready)) {
    std::uint64_t type = 0;
    std::uint32_t fields = 0;
    if (!in.message(type, fields) || !on_message(now, type, fields, in, out)) {
      in.fail();
      break;
    }
  }
  if (in.ok() || state_ == State::pausing || state_ == State::ended) return;
  // What came before the bad message was applied; the resume after a reconnect settles the rest.
  connect_next(now, "the broker sent a message that cannot be read", out);
}

bool Link::on_message(Instant now, std::uint64_t type, std::uint32_t fields, FrameReader& in,
                      LinkOut& out) {
  switch (static_cast<Type>(type)) {
    case Type::welcome:
      return on_welcome(now, fields, in, out);
    case Type::goodbye:
      return on_goodbye(now, fields, in, out);
    case Type::who:
      if (!in.skip_fields(fields)) return false;
      // While a hello is under way its answer is what we wait for.
      if (state_ != State::ready) return true;
      disconnected(now, out);
      say_hello(now, out);
      return true;
    case Type::ping: {
      std::uint64_t number = 0;
      if (!read_number(in, fields, number)) return false;
      if (state_ != State::ready) return true;
      FrameWriter writer = out.message();
      write_pong(writer, number);
      return true;
    }
    case Type::pong: {
      std::uint64_t number = 0;
      std::uint64_t commit_no = 0;
      if (!read_pong(in, fields, number, commit_no)) return false;
      if (state_ != State::ready || frame_epoch_ != epoch_) return true;
      commit_no_ = std::max(commit_no_, commit_no);
      if (timed_ping_ == 0 || number != timed_ping_) return true;
      answered_us_ = timed_ping_us_;
      answered_ = asked_by_ping_;
      timed_ping_ = 0;
      return true;
    }
    default:
      break;
  }
  LinkMember* member = nullptr;
  if (type >= 48 && type < 64) member = members_[static_cast<std::size_t>(Side::client)];
  if (type >= 64 && type < 80) member = members_[static_cast<std::size_t>(Side::worker)];
  // Before the welcome nothing else counts: it was said to a connection that is no more.
  if (member == nullptr || state_ != State::ready || frame_epoch_ != epoch_) {
    return in.skip_fields(fields);
  }
  const bool good = member->on_message(now, type, fields, in, out);
  commit_no_ = std::max(commit_no_, std::exchange(out.commit_no, 0));
  return good;
}

bool Link::on_welcome(Instant now, std::uint32_t fields, FrameReader& in, LinkOut& out) {
  Welcome welcome;
  if (!read(in, fields, welcome)) return false;
  if (state_ != State::connecting) return true;
  if (welcome.epoch != frame_epoch_ || welcome.version < limits::kProtocolVersionMin ||
      welcome.version > limits::kProtocolVersionMax) {
    return false;
  }
  welcome.heartbeat_ms = std::clamp<std::int64_t>(welcome.heartbeat_ms, 1, 60'000);
  welcome.lease_ms = std::clamp<std::int64_t>(welcome.lease_ms, welcome.heartbeat_ms, 600'000);
  const bool new_epoch = welcome.epoch != epoch_;
  run_seen_ = welcome.run;
  welcome_ = std::move(welcome);
  epoch_ = welcome_.epoch;
  out.epoch_ = epoch_;
  if (std::pair(welcome_.timeline, welcome_.commit_no) > std::pair(timeline_, commit_no_)) {
    timeline_ = welcome_.timeline;
    commit_no_ = welcome_.commit_no;
  }
  state_ = State::ready;
  answered_us_ = hello_sent_us_;
  tries_ = 0;
  due_us_ = kNever;
  // What was written before, if anything, was for a connection that is no more.
  out.frames_.clear();
  for (LinkMember* member : members_) {
    if (member) member->on_welcome(now, welcome_, new_epoch, out);
  }
  return true;
}

bool Link::on_goodbye(Instant now, std::uint32_t fields, FrameReader& in, LinkOut& out) {
  Goodbye goodbye;
  if (!read(in, fields, goodbye)) return false;
  if (goodbye.code == Errc::unknown_session || goodbye.code == Errc::lost) {
    const bool lost = goodbye.code == Errc::lost;
    if (lost) out.log.emplace_back(2, "the broker lost this session: " + goodbye.text);
    disconnected(now, out);
    for (LinkMember* member : members_) {
      if (member) member->on_session_unknown(now, lost);
    }
    say_hello(now, out);
    return true;
  }
  out.log.emplace_back(1, "the broker ended the connection: " + std::string(name_of(goodbye.code)) +
                              (goodbye.text.empty() ? "" : ", " + goodbye.text));
  if (!may_retry(goodbye.code)) {
    end(now, goodbye);
    return true;
  }
  // A broker that served and stops has handed over: the next one is waited for there, not here.
  if (goodbye.code == Errc::stopping && state_ == State::ready && options_.endpoints > 1) {
    return connect_next(now, "the broker stops", out), true;
  }
  disconnected(now, out);
  state_ = State::pausing;
  due_us_ = now.mono_us + options_.retry_ms * kMicrosPerMilli;
  return true;
}

void Link::end(Instant now, const Goodbye& why) {
  if (state_ == State::ended) return;
  state_ = State::ended;
  due_us_ = kNever;
  for (LinkMember* member : members_) {
    if (member) member->on_ended(now, why);
  }
}

void Link::close(Instant now, const Goodbye& why, LinkOut& out) {
  if (state_ == State::ready) {
    const LinkMember* worker = members_[static_cast<std::size_t>(Side::worker)];
    const bool drained = worker != nullptr && worker->owes_nothing();
    FrameWriter writer = out.message();
    write(writer, Goodbye{drained ? Errc::stopping : Errc::ok, why.text});
  }
  end(now, why);
}

void Link::on_tick(Instant now, LinkOut& out) {
  if (state_ == State::idle || state_ == State::ended) return;
  if (now.mono_us >= due_us_) connect_next(now, "the broker does not answer", out);
  for (LinkMember* member : members_) {
    if (member) member->on_tick(now, state_ == State::ready, out);
    if (state_ == State::ended) return;
  }
  if (state_ == State::ready) keep_alive(now, out);
}

void Link::keep_alive(Instant now, LinkOut& out) {
  const std::int64_t heartbeat_us = welcome_.heartbeat_ms * kMicrosPerMilli;
  const std::int64_t silence_us = welcome_.lease_ms * kMicrosPerMilli;
  // Silence counts from the first ping that got no answer, so that a process which was stopped for
  // a while itself does not take the broker for dead.
  if (ping_sent_us_ != kNever && now.mono_us - ping_sent_us_ >= silence_us - heartbeat_us) {
    return connect_next(now, "the broker is silent", out);
  }
  if (!out.frames_.empty()) last_sent_us_ = now.mono_us;
  const bool unheard = ping_sent_us_ == kNever && now.mono_us - last_heard_us_ >= heartbeat_us;
  // A worker's lease needs an answer to a ping even while other things are said.
  const bool lease = members_[static_cast<std::size_t>(Side::worker)] != nullptr &&
                     timed_ping_ == 0 && now.mono_us - answered_us_ >= heartbeat_us;
  const bool asked = timed_ping_ == 0 && asked_ != asked_by_ping_;
  if (!unheard && !lease && !asked && now.mono_us - last_sent_us_ < heartbeat_us) return;
  FrameWriter writer = out.message();
  write_ping(writer, ++ping_number_);
  last_sent_us_ = now.mono_us;
  if (ping_sent_us_ == kNever) ping_sent_us_ = now.mono_us;
  if (timed_ping_ != 0) return;
  timed_ping_ = ping_number_;
  timed_ping_us_ = now.mono_us;
  asked_by_ping_ = asked_;
}

std::int64_t Link::keep_alive_us() const {
  const std::int64_t heartbeat_us = welcome_.heartbeat_ms * kMicrosPerMilli;
  std::int64_t due = last_sent_us_ + heartbeat_us;
  if (ping_sent_us_ == kNever) {
    due = std::min(due, last_heard_us_ + heartbeat_us);
  } else {
    due = std::min(due, ping_sent_us_ + welcome_.lease_ms * kMicrosPerMilli - heartbeat_us);
  }
  if (members_[static_cast<std::size_t>(Side::worker)] != nullptr && timed_ping_ == 0) {
    due = std::min(due, answered_us_ + heartbeat_us);
  }
  return due;
}

std::int64_t Link::next_deadline_us() const {
  if (state_ == State::idle || state_ == State::ended) return kNever;
  std::int64_t due = due_us_;
  if (state_ == State::ready) due = std::min(due, keep_alive_us());
  for (LinkMember* member : members_) {
    if (member) due = std::min(due, member->next_deadline_us());
  }
  return due;
}

}  // namespace callboard::wire
