#include "tests/sim/history.hpp"

#include "common/messages.hpp"

namespace callboard::sim {

namespace {

std::string_view name_of(What what) {
  switch (what) {
    case What::submitted: return "submitted";
    case What::renumbered: return "renumbered";
    case What::accepted: return "accepted";
    case What::refused: return "refused";
    case What::told_full: return "told full";
    case What::resumed: return "resumed";
    case What::resolved: return "resolved";
    case What::released: return "released";
    case What::cancel_asked: return "cancel asked";
    case What::cancel_answered: return "cancel answered";
    case What::kill_asked: return "kill asked";
    case What::session_refused: return "session refused";
    case What::client_left: return "client left";
    case What::constructing: return "constructing";
    case What::constructed: return "constructed";
    case What::destroyed: return "destroyed";
    case What::run_arrived: return "run arrived";
    case What::begun: return "begun";
    case What::spliced: return "spliced";
    case What::ended: return "ended";
    case What::returned: return "returned";
    case What::worker_born: return "worker born";
    case What::worker_died: return "worker died";
    case What::ticked: return "ticked";
    case What::charged: return "charged";
    case What::run_left: return "run left";
    case What::deadline_came: return "deadline came";
    case What::told_result: return "told result";
    case What::broker_born: return "broker born";
    case What::broker_died: return "broker died";
    case What::arrived: return "arrived at the broker";
    case What::committed: return "committed";
    case What::queue_length: return "queue length";
    case What::fault: return "FAULT";
    case What::healed: return "HEALED";
  }
  return "?";
}

}  // namespace

std::string describe(const Record& record) {
  std::string line(name_of(record.what));
  if (record.call) line += " call " + to_string(record.call);
  if (record.attempt != 0) line += " attempt " + std::to_string(record.attempt);
  if (record.actor) line += " actor " + to_string(record.actor);
  if (record.incarnation != 0) line += " incarnation " + std::to_string(record.incarnation);
  if (record.code != Errc::ok) line += " " + std::string(callboard::name_of(record.code));
  if (record.what == What::cancel_answered) {
    line += " " + std::string(wire::name_of(static_cast<wire::CancelAnswer>(record.value)));
  } else if (record.value != 0) {
    line += " value " + std::to_string(record.value);
  }
  if (!record.text.empty()) line += " " + record.text;
  return line;
}

void History::add(Record record) {
  ++size_;
  mix(static_cast<std::uint64_t>(record.at_us));
  mix(static_cast<std::uint64_t>(record.what) << 32 | static_cast<std::uint32_t>(record.process));
  mix(value_of(record.call.session));
  mix(record.call.seq);
  mix(static_cast<std::uint64_t>(record.attempt) << 8 | static_cast<std::uint8_t>(record.code));
  mix(record.actor.seq << 20 | record.incarnation);
  mix(record.value);
  for (const Listener& listener : listeners_) listener(record);
}

void History::mix(std::uint64_t word) {
  digest_ = (digest_ ^ word) * 0x9E3779B97F4A7C15ull;
  digest_ ^= digest_ >> 29;
}

}  // namespace callboard::sim
