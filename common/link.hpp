// One connection of a client or worker process to a broker, as a state machine without I/O.
//
// Thread safety: none; one thread owns it.
// It says hello and hello again when asked, notices a silent broker, tries the next endpoint, and
// refuses frames of an older broker run. What is said over the connection is the business of its
// members: a client session, a worker session, or both in a worker process.
//
//   connecting --welcome--> ready --who--> connecting        (same connection, new hello)
//       ^  |                  |
//       |  +--no answer----+  +--silence, goodbye--+
//       +---next endpoint--+-----------------------+         any --fatal goodbye, close--> ended
//
// Invariant: between a new connection (or hello) and its welcome nothing but hello is written.
#pragma once

#include "common/frame.hpp"
#include "common/messages.hpp"
#include "common/time.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::wire {

/// What a step wants from the owner of the connection. The owner acts on it and clears it.
class LinkOut {
 public:
  /// Set: drop the connection and everything unsent on it, and connect to this endpoint, before
  /// `frames` are sent.
  std::optional<std::size_t> connect;
  /// For the log: level (0 info, 1 warning, 2 error) and text.
  std::vector<std::pair<int, std::string>> log;
  /// Set by a member: the broker said that the store has come to this commit.
  std::uint64_t commit_no = 0;

  /// Where the next message goes: the last frame, or a new one when that is full. Ask anew for
  /// every message.
  FrameWriter message();
  /// The frames to send, in order.
  std::vector<Frame>& frames() { return frames_; }
  bool empty() const { return frames_.empty() && !connect; }
  void clear();

 private:
  friend class Link;
  std::vector<Frame> frames_;
  std::vector<std::string> spare_;  ///< heads of sent frames, for their memory
  std::uint64_t epoch_ = 0;
};

/// One user of a connection. All functions are called by the link, in its thread.
class LinkMember {
 public:
  virtual ~LinkMember() = default;

  /// Adds to a hello what concerns this member. The link has set versions, epoch and timeline; it
  /// asks the client side first and the worker side after it.
  virtual void fill_hello(Hello& hello) = 0;
  /// The broker answered hello: from now on messages may be written, and what is unanswered is to
  /// be written again. `new_epoch`: another run of the broker than the last that welcomed us, or
  /// the first.
  virtual void on_welcome(Instant now, const Welcome& welcome, bool new_epoch, LinkOut& out) = 0;
  /// A message of this member's range. Must consume its `fields`; FrameReader::skip_fields() for a
  /// type that it does not know. May go on with more of the same type where these follow and change
  /// nothing of the link. False when a message is malformed.
  virtual bool on_message(Instant now, std::uint64_t type, std::uint32_t fields, FrameReader& in,
                          LinkOut& out) = 0;
  /// Called once in each turn of the loop, after all frames that had arrived and before the turn's
  /// frames leave: the place to write what gathered. `ready`: messages may be written.
  virtual void on_tick(Instant now, bool ready, LinkOut& out) = 0;
  /// When on_tick() is next due (microseconds of the steady clock); kNever if never.
  virtual std::int64_t next_deadline_us() const = 0;
  /// Nothing may be written until the next on_welcome().
  virtual void on_disconnected(Instant now) = 0;
  /// The broker does not know our session. The next hello follows at once; a client session must
  /// have begun a new session when it is asked to fill it.
  /// `lost`: because its store lost it, so what was acknowledged is lost too.
  virtual void on_session_unknown(Instant now, bool lost) = 0;
  /// Nothing that it was told to do has begun without the broker having confirmed its end, and
  /// nothing will begin: the goodbye says so.
  virtual bool owes_nothing() const { return false; }
  /// The link has ended for good and says why; no other function is called any more.
  virtual void on_ended(Instant now, const Goodbye& why) = 0;
};

/// Which messages a member gets: 48-63 or 64-79.
enum class Side : std::uint8_t { client = 0, worker = 1 };

/// How long things may take, in milliseconds.
struct LinkOptions {
  std::size_t endpoints = 1;           ///< how many there are to try in turn
  std::int64_t hello_ms = 500;         ///< no welcome within this: the next endpoint
  std::int64_t hello_ms_max = 2000;    ///< it doubles with every round through the endpoints
  std::int64_t retry_ms = 100;         ///< pause after a goodbye that allows another try
};

class Link {
 public:
  enum class State : std::uint8_t { idle, connecting, ready, pausing, ended };

  explicit Link(LinkOptions options);

  /// REQUIRES: before start(); the member outlives the link. One member a side.
  void add(LinkMember& member, Side side);
  /// Connects to the first endpoint and says hello.
  void start(Instant now, LinkOut& out);
  /// A frame arrived. Its bytes are borrowed for the time of the call.
  void on_frame(Instant now, const FrameView& frame, LinkOut& out);
  /// Once a turn, after the frames; also when next_deadline_us() has passed.
  void on_tick(Instant now, LinkOut& out);
  std::int64_t next_deadline_us() const;
  /// Says goodbye when connected, and ends. Members are told `why`.
  void close(Instant now, const Goodbye& why, LinkOut& out);

  State state() const { return state_; }
  bool ready() const { return state_ == State::ready; }
  /// The broker run that welcomed us last; 0 before the first.
  std::uint64_t epoch() const { return epoch_; }
  /// What the last welcome said.
  const Welcome& welcome() const { return welcome_; }
  /// When the broker was last heard (steady clock, microseconds).
  std::int64_t last_heard_us() const { return last_heard_us_; }
  /// When the newest hello or ping left that the broker has answered: it has heard everything that
  /// was written until then. A worker's lease counts from it, since hearing the broker does not
  /// say that the broker hears us.
  std::int64_t answered_us() const { return answered_us_; }
  /// Wants to know when the broker has heard what was written until now: a ping follows at the end
  /// of this turn, or once the answer to an earlier one is there. The number to ask `answered` for.
  std::uint64_t ask() { return ++asked_; }
  /// Whether the broker has heard what was written before that `ask`. Never after a reconnect.
  bool answered(std::uint64_t asked) const { return asked <= answered_; }
  /// How often a connection was opened or reopened, for metrics.
  std::uint64_t connects() const { return connects_; }

 private:
  void connect(Instant now, LinkOut& out);
  void connect_next(Instant now, std::string_view why, LinkOut& out);
  void disconnected(Instant now, LinkOut& out);
  void say_hello(Instant now, LinkOut& out);
  bool on_message(Instant now, std::uint64_t type, std::uint32_t fields, FrameReader& in,
                  LinkOut& out);
  bool on_welcome(Instant now, std::uint32_t fields, FrameReader& in, LinkOut& out);
  bool on_goodbye(Instant now, std::uint32_t fields, FrameReader& in, LinkOut& out);
  void end(Instant now, const Goodbye& why);
  void keep_alive(Instant now, LinkOut& out);
  std::int64_t keep_alive_us() const;

  LinkOptions options_;
  std::array<LinkMember*, 2> members_{};
  State state_ = State::idle;
  std::size_t endpoint_ = 0;
  std::uint64_t tries_ = 0;            ///< hellos without a welcome since the last one
  std::uint64_t connects_ = 0;
  std::uint64_t epoch_ = 0;
  std::uint64_t epoch_seen_ = 0;       ///< highest in any frame that was not refused
  std::uint64_t run_seen_ = 0;         ///< of the last welcome, in that epoch
  std::uint64_t timeline_ = 0;         ///< with commit_no_: how far the store was, as told
  std::uint64_t commit_no_ = 0;
  std::uint64_t frame_epoch_ = 0;      ///< of the frame that is being read
  std::uint64_t ping_number_ = 0;
  std::int64_t due_us_ = kNever;       ///< end of connecting or pausing
  std::int64_t last_heard_us_ = 0;
  std::int64_t last_sent_us_ = 0;
  std::int64_t ping_sent_us_ = kNever; ///< of the first ping since the broker was last heard
  std::int64_t hello_sent_us_ = 0;
  std::int64_t answered_us_ = 0;
  std::uint64_t timed_ping_ = 0;       ///< a ping whose answer moves answered_us_; 0 none
  std::int64_t timed_ping_us_ = 0;
  std::uint64_t asked_ = 0;            ///< how often somebody asked
  std::uint64_t asked_by_ping_ = 0;    ///< of those, before timed_ping_ left
  std::uint64_t answered_ = 0;
  Welcome welcome_;
};

}  // namespace callboard::wire
