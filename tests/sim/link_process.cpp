#include "tests/sim/link_process.hpp"

#include <utility>

namespace callboard::sim {

namespace {

constexpr std::int64_t kTurnUs = 2;
constexpr std::int64_t kTurnUsMax = 40;

}  // namespace

LinkProcess::LinkProcess(Context& context, Observer& observer, std::string name)
    : context_(context), observer_(observer),
      process_(context.schedule, context.new_process(), std::move(name), context.random_clocks()),
      random_(context.random.fork()), link_(wire::LinkOptions{}) {
  dealer_ = context_.network.add_dealer([this](wire::Frame frame) {
    if (!process_.alive()) return;
    inbox_.push_back(std::move(frame));
    turn_soon();
  });
  observer_.introduce(dealer_, process_);
}

client::SessionOptions session_options(Random& random, const std::string& name) {
  client::SessionOptions options;
  // The shard is the top byte.
  options.id = SessionId{(random.next() & 0x00FF'FFFF'FFFF'FFFFull) | 2};
  options.random_seed = random.next();
  options.name = name;
  options.host = "sim";
  options.pid = random.below(30'000) + 2;
  return options;
}

void LinkProcess::start() {
  link_.start(process_.now(), out_);
  send();
  turn_soon();
}

void LinkProcess::die() {
  process_.die();
  context_.network.remove_dealer(dealer_);
}

void LinkProcess::close() {
  if (closed_ || !process_.alive()) return;
  closed_ = true;
  link_.close(process_.now(), wire::Goodbye{Errc::ok, "done"}, out_);
  send();
}

void LinkProcess::turn_soon() {
  if (turning_) return;
  turning_ = true;
  process_.later(random_.between(kTurnUs, kTurnUsMax), [this] { turn(); });
}

void LinkProcess::turn() {
  turning_ = false;
  if (closed_) return;
  std::deque<wire::Frame> arrived;
  arrived.swap(inbox_);
  for (const wire::Frame& frame : arrived) {
    observer_.at_process(dealer_, frame, process_);
    link_.on_frame(process_.now(), wire::FrameView{frame.head, frame.parts}, out_);
  }
  before_tick();
  link_.on_tick(process_.now(), out_);
  send();
  arm();
}

void LinkProcess::send() {
  if (out_.connect) {
    context_.coverage.hit("situation: link connects again");
    context_.network.dealer_reset(dealer_);
    inbox_.clear();
  }
  for (wire::Frame& frame : out_.frames()) {
    if (frame.empty()) continue;
    observer_.from_process(dealer_, frame);
    context_.network.dealer_send(dealer_, std::move(frame));
  }
  for (const auto& [level, text] : out_.log) {
    context_.say(process_.name(), "log " + std::to_string(level) + ": " + text);
  }
  out_.clear();
}

void LinkProcess::arm() {
  const std::int64_t next = link_.next_deadline_us();
  if (next == kNever) return;
  const std::int64_t due = process_.to_virtual(next);
  if (armed_us_ > context_.schedule.now() && armed_us_ <= due) return;
  armed_us_ = due;
  process_.at_mono(next, [this, due] {
    if (armed_us_ == due) armed_us_ = kNever;
    turn_soon();
  });
}

}  // namespace callboard::sim
