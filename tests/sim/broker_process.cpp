#include "tests/sim/broker_process.hpp"

#include "tests/sim/store_reader.hpp"

#include <algorithm>

namespace callboard::sim {

namespace {

constexpr std::int64_t kTurnUs = 5;  // a turn of the loop takes at least this
constexpr std::int64_t kTurnUsMax = 60;
constexpr std::int64_t kConnectUs = 1'000;

}  // namespace

BrokerProcess::BrokerProcess(Context& context, Observer& observer, const BrokerSetup& setup)
    : context_(context),
      observer_(observer),
      process_(context.schedule, context.new_process(), "broker-" + std::to_string(setup.epoch),
               context.random_clocks()),
      random_(context.random.fork()),
      setup_(setup) {
  Record record;
  record.what = What::broker_born;
  record.process = process_.id();
  record.value = setup_.epoch;
  context_.note(process_.name(), std::move(record));
  process_.later(kConnectUs, [this] { connect_store(); });
}

BrokerProcess::~BrokerProcess() = default;

std::int64_t BrokerProcess::store_latency() {
  const std::int64_t stall =
      std::max<std::int64_t>(store_stalled_until_us_ - context_.schedule.now(), 0);
  return stall + random_.between(setup_.store.latency_us_min, setup_.store.latency_us_max);
}

// --- the store -----------------------------------------------------------------------------------

void BrokerProcess::connect_store() {
  // The token first, then whatever is read: nothing of the connection before can come between.
  ++connection_;
  token_ = random_.next();
  context_.store.set_token(token_);
  context_.store.sync(context_.store.commit_no());  // whatever is read now is on the disk
  if (!loaded_) return load();
  if (store_went_back()) {
    return begin_again({run_.epoch, run_.timeline, run_.commit_no, "the store is older"});
  }
  if (in_flight_ != nullptr && context_.store.commit_no() == in_flight_->number) {
    context_.coverage.hit("store: lost answer, commit was applied");
    run_.commit_no = in_flight_->number;
    events_.emplace_back(broker::Committed{in_flight_->number});
    in_flight_.reset();
  } else if (in_flight_ != nullptr) {
    context_.coverage.hit("store: lost commit is written again");
  }
  store_ = StoreState::up;
  events_.emplace_back(broker::StoreUp{});
  if (in_flight_ != nullptr) send_commit();
  if (!reads_.empty()) context_.coverage.hit("store: read again after a loss", reads_.size());
  for (const broker::StoreRead& read : reads_) send_read(read);
  turn_soon();
}

bool BrokerProcess::store_went_back() const {
  const StoreModel::Numbers& found = context_.store.numbers();
  return setup_.epochs_in_store && (found.epoch < run_.epoch || found.commit_no < run_.commit_no);
}

/// Loudly: another run in this process, on what the store has, in a timeline of its own.
void BrokerProcess::begin_again(broker::Witness seen) {
  context_.coverage.hit("situation: a new timeline begins");
  if (!witness_) witness_.emplace();
  witness_->epoch = std::max({witness_->epoch, seen.epoch, run_.epoch});
  witness_->timeline = std::max({witness_->timeline, seen.timeline, run_.timeline});
  witness_->commit_no = std::max({witness_->commit_no, seen.commit_no, run_.commit_no});
  witness_->text = std::move(seen.text);
  loaded_ = false;
  in_flight_.reset();
  reads_.clear();
  events_.clear();
  store_ = StoreState::connecting;
  ++connection_;
  process_.later(kConnectUs, [this] { connect_store(); });
}

void BrokerProcess::load() {
  broker::BrokerOptions options;
  run_ = context_.store.numbers();
  run_.epoch = setup_.epoch;
  if (setup_.epochs_in_store) {
    run_ = context_.store.begin_run(witness_);
    if (witness_) options.went_back = witness_->text;
    witness_.reset();
  }
  options.epoch = run_.epoch;
  options.timeline = run_.timeline;
  options.commit_no = run_.commit_no;
  options.confirm_delay_us = setup_.epoch % 2 == 0 ? limits::kConfirmDelayUs : 0;
  options.endpoints = {"sim"};
  options.session_grace_ms = setup_.session_grace_ms;
  options.result_ttl_ms = setup_.result_ttl_ms;
  options.dedupe_ttl_ms = setup_.dedupe_ttl_ms;
  // Also none, on what a run with one has left, and the other way round.
  Random dice = random_;  // a copy: the rest of the history is what it would be without
  options.journal_ms = dice.chance(0.2) ? 0 : dice.between(1, 100);
  options.journal_backlog = dice.chance(0.5) ? 2 : 40;
  options.memory_max = setup_.memory_max;
  broker_ = std::make_unique<broker::Broker>(options, random_.next());
  context_.store.expire(context_.schedule.now());
  std::uint64_t entries = 0;
  const std::string problem = read_store(
      context_.store, random_,
      [&](const broker::StoreEntry& entry) { return broker_->load(entry); }, entries);
  if (!problem.empty()) {
    return context_.verdict.fail("recovery", "an entry of the store cannot be read: " + problem);
  }
  context_.coverage.hit("broker: loaded entries", entries);
  loaded_ = true;
  store_ = StoreState::up;
  broker_->loaded(process_.now(), effects_);
  act();
  if (std::exchange(listening_, true)) return turn_soon();
  context_.network.router_open([this](PeerId peer, DealerId dealer, wire::Frame frame) {
    on_frame(peer, dealer, std::move(frame));
  });
  turn_soon();
}

void BrokerProcess::commit() {
  if (store_ != StoreState::up || in_flight_ != nullptr || !broker_->has_batch()) return;
  in_flight_ = std::make_shared<Commit>();
  in_flight_->batch = broker_->take_batch(in_flight_->number);
  send_commit();
}

void BrokerProcess::send_commit() {
  // What is on its way when the connection breaks, or this process dies, may still arrive.
  Context& context = context_;
  const std::int64_t back = store_latency();
  context_.schedule.after(
      store_latency(), [this, &context, back, commit = in_flight_, token = token_,
                        connection = connection_] {
        const auto answer =
            context.store.commit(context.schedule.now(), token, commit->number, commit->batch);
        if (answer == StoreModel::Answer::fenced) {
          context.coverage.hit("store: late commit was fenced");
          return;
        }
        Record record;
        record.what = What::committed;
        record.value = commit->number;
        context.note("store", std::move(record));
        note_lengths(context, commit->batch);
        // appendfsync always: an answer leaves once what it answers is on the disk. This one leaves
        // `back` from here; a power cut before that undoes the commit.
        context.schedule.after(back, [&context, number = commit->number] {
          context.store.sync(number);
        });
        if (!process_.alive()) {
          context.coverage.hit("store: commit of a dead broker was applied");
          return;
        }
        process_.later(
            back, [this, connection, number = commit->number] { on_answer(connection, number); });
      });
}

void BrokerProcess::send_read(const broker::StoreRead& read) {
  // Behind what was written before it, and it may arrive late: commits may come in between.
  process_.later(store_latency(), [this, read, connection = connection_] {
    broker::CallsRead answer;
    answer.id = read.id;
    const auto key = context_.store.keys().find(read.key);
    for (const std::uint64_t number : read.numbers) {
      if (key == context_.store.keys().end()) {
        answer.add_none();
        continue;
      }
      const auto found = key->second.fields.find(std::to_string(number));
      found == key->second.fields.end() ? answer.add_none() : answer.add(found->second);
    }
    process_.later(store_latency(), [this, connection, answer] { on_read(connection, answer); });
  });
}

void BrokerProcess::on_read(std::uint64_t connection, const broker::CallsRead& read) {
  if (connection != connection_ || store_ != StoreState::up) return;  // it is asked again
  std::erase_if(reads_, [&](const broker::StoreRead& asked) { return asked.id == read.id; });
  context_.coverage.hit("situation: waiting calls are read back", read.sizes.size());
  events_.emplace_back(read);
  turn_soon();
}

void BrokerProcess::on_answer(std::uint64_t connection, std::uint64_t number) {
  if (connection != connection_ || store_ != StoreState::up) return;  // of a broken connection
  CALLBOARD_CHECK(in_flight_ != nullptr && in_flight_->number == number);
  in_flight_.reset();
  run_.commit_no = number;
  events_.emplace_back(broker::Committed{number});
  turn_soon();
}

void BrokerProcess::note_lengths(Context& context, const broker::StoreBatch& batch) {
  for (const auto change : batch.keys()) {
    std::string_view name = change.name;
    if (!name.starts_with("q:") || !name.ends_with(":calls")) continue;
    Record record;
    record.what = What::queue_length;
    record.value = context.store.length(name);
    name.remove_prefix(2);
    name.remove_suffix(6);
    record.text = name;
    context.note("store", std::move(record));
  }
}

// --- faults --------------------------------------------------------------------------------------

void BrokerProcess::lose_store(std::int64_t away_us) {
  if (!loaded_ || store_ != StoreState::up) return;
  context_.fault("store connection lost", process_.name());
  store_ = StoreState::down;
  ++connection_;
  store_back_us_ = context_.schedule.now() + away_us;
  events_.emplace_back(broker::StoreDown{"simulated"});
  turn_soon();
  process_.later(away_us, [this] {
    if (store_ == StoreState::down && context_.schedule.now() >= store_back_us_) connect_store();
  });
}

void BrokerProcess::cut_power(std::int64_t away_us) {
  if (!loaded_ || store_ != StoreState::up) return;
  context_.fault("store lost its power", process_.name());
  context_.coverage.hit("store: commits undone by a power cut", context_.store.lose_power());
  lose_store(away_us);
}

void BrokerProcess::take_store_back(std::int64_t away_us) {
  if (!loaded_ || store_ != StoreState::up) return;
  context_.fault("store went back", process_.name());
  context_.coverage.hit("store: commits gone with an older copy", context_.store.go_back());
  lose_store(away_us);
}

void BrokerProcess::stall_store(std::int64_t for_us) {
  context_.fault("store stalled", process_.name());
  store_stalled_until_us_ = std::max(store_stalled_until_us_, context_.schedule.now() + for_us);
}

void BrokerProcess::fill_store(std::int64_t for_us) {
  if (!loaded_ || full_) return;
  context_.fault("store full", process_.name());
  full_ = true;
  events_.emplace_back(broker::StoreFull{true});
  turn_soon();
  process_.later(for_us, [this] {
    if (!full_) return;
    full_ = false;
    events_.emplace_back(broker::StoreFull{false});
    turn_soon();
  });
}

void BrokerProcess::heal() {
  store_stalled_until_us_ = 0;
  process_.thaw();
  if (full_) {
    full_ = false;
    events_.emplace_back(broker::StoreFull{false});
    turn_soon();
  }
  if (loaded_ && store_ == StoreState::down) connect_store();
}

void BrokerProcess::die() {
  process_.die();
  context_.network.router_close();
  Record record;
  record.what = What::broker_died;
  record.process = process_.id();
  context_.note(process_.name(), std::move(record));
}

// --- the loop ------------------------------------------------------------------------------------

void BrokerProcess::on_frame(PeerId peer, DealerId dealer, wire::Frame frame) {
  inbox_.push_back({peer, dealer, std::move(frame)});
  turn_soon();
}

void BrokerProcess::turn_soon() {
  if (turning_) return;
  turning_ = true;
  process_.later(random_.between(kTurnUs, kTurnUsMax), [this] { turn(); });
}

void BrokerProcess::turn() {
  turning_ = false;
  if (broker_ == nullptr || !loaded_) return;
  while (!events_.empty()) {
    const broker::Event event = std::move(events_.front());
    events_.pop_front();
    step(event);
  }
  std::deque<Arrived> arrived;
  arrived.swap(inbox_);
  for (const auto& [peer, dealer, frame] : arrived) {
    observer_.at_broker(peer, dealer, frame);
    step(broker::FrameArrived{peer, wire::FrameView{frame.head, frame.parts}});
  }
  if (broker_->next_deadline_us() <= process_.now().mono_us) step(broker::Tick{});
  act();
  if (!loaded_) return;
  commit();
  arm();
}

void BrokerProcess::step(const broker::Event& event) {
  broker_->step(process_.now(), event, effects_);
}

void BrokerProcess::act() {
  for (auto& [peer, frames] : effects_.frames) {
    bool lost = false;
    for (wire::Frame& frame : frames) {
      if (frame.empty()) continue;
      observer_.from_broker(peer, frame);
      if (!lost && !context_.network.router_send(peer, std::move(frame))) lost = true;
    }
    if (!lost) continue;
    events_.emplace_back(broker::PeerLost{peer});
    turn_soon();
  }
  for (const broker::StoreRead& read : effects_.reads) {
    reads_.push_back(read);
    if (store_ == StoreState::up) send_read(read);
  }
  for (const auto& [level, text] : effects_.log) {
    context_.say(process_.name(), "log " + std::to_string(level) + ": " + text);
  }
  if (!effects_.fatal.empty()) {
    context_.verdict.fail("broker", "it wants to stop: " + effects_.fatal);
  }
  const std::optional<broker::Witness> ahead = std::exchange(effects_.ahead, std::nullopt);
  effects_.clear();
  if (!ahead) return;
  if (!setup_.epochs_in_store) {
    context_.verdict.fail("broker", "it believes a witness: " + ahead->text);
  }
  context_.coverage.hit("situation: a witness is met");
  begin_again(*ahead);
}

void BrokerProcess::arm() {
  const std::int64_t next = broker_->next_deadline_us();
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
