#include "config/table.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>

namespace callboard::config {

namespace {

constexpr std::int64_t kDayMs = 24 * 3600 * 1000;

#define CALLBOARD_FIELD(section, key) \
  [](Settings& settings) -> Field { return &settings.section.key; }

std::vector<Setting> client_rows() {
  return {
      {"client.broker",
       "where clients, workers and the command line find the broker",
       CALLBOARD_FIELD(client, broker),
       0,
       0,
       {},
       "CALLBOARD_BROKER"},
      {"client.connect_timeout_ms",
       "how long the command line waits for the broker's first answer, in milliseconds",
       CALLBOARD_FIELD(client, connect_timeout_ms), 1, kDayMs},
  };
}

std::vector<Setting> broker_rows() {
  return {
      {"broker.name", "the broker's name in answers and logs", CALLBOARD_FIELD(broker, name)},
      {"broker.listen", "endpoints for clients and workers (tcp:// and ipc://)",
       CALLBOARD_FIELD(broker, listen)},
      {"broker.advertise", "endpoints told to peers, where they differ from those it listens on",
       CALLBOARD_FIELD(broker, advertise)},
      {"broker.events", "endpoint of the stream of events; empty for none",
       CALLBOARD_FIELD(broker, events)},
      {"broker.redis",
       "the store: redis://[[user]:password@]host[:port][/db] or unix:///path/of/socket",
       CALLBOARD_FIELD(broker, redis)},
      {"broker.shard", "the shard that this broker serves", CALLBOARD_FIELD(broker, shard), 0, 255},
      {"broker.standby",
       "the shard is shared with other brokers: stand by while another one serves it",
       CALLBOARD_FIELD(broker, standby)},
      {"broker.require_fsync",
       "serve only while Redis syncs its append-only file at least so: none, everysec or always",
       CALLBOARD_FIELD(broker, require_fsync),
       0,
       0,
       {"none", "everysec", "always"}},
      {"broker.lease_ms", "a worker that was silent this long has lost its calls, in milliseconds",
       CALLBOARD_FIELD(broker, lease_ms), 100, kDayMs},
      {"broker.worker_lease_ms",
       "a worker that heard nothing this long begins nothing more, in milliseconds; below lease_ms",
       CALLBOARD_FIELD(broker, worker_lease_ms), 50, kDayMs},
      {"broker.heartbeat_ms", "time between two heartbeats of a peer, in milliseconds",
       CALLBOARD_FIELD(broker, heartbeat_ms), 10, kDayMs},
      {"broker.session_grace_ms",
       "how long a client may be away before its session is gone, in milliseconds",
       CALLBOARD_FIELD(broker, session_grace_ms), 0, kDayMs},
      {"broker.result_ttl_ms",
       "how long results stay after their owner's session is gone, in milliseconds",
       CALLBOARD_FIELD(broker, result_ttl_ms), 0, 365 * kDayMs},
      {"broker.max_pending", "calls that may wait in one queue, unless its actor says otherwise",
       CALLBOARD_FIELD(broker, max_pending), 1},
      {"broker.max_pending_bytes",
       "bytes of arguments that may wait in one queue, unless its actor says otherwise",
       CALLBOARD_FIELD(broker, max_pending_bytes), 1},
      {"broker.memory_max",
       "bytes that calls may take in the broker's memory, beyond which durable ones wait in Redis "
       "only; 0: no limit",
       CALLBOARD_FIELD(broker, memory_max), 0},
      {"broker.max_unreleased_bytes",
       "bytes of results that one session may leave untaken before its calls are refused",
       CALLBOARD_FIELD(broker, max_unreleased_bytes), 1},
      {"broker.poison_limit", "workers that a call may take down before it goes to the dead set",
       CALLBOARD_FIELD(broker, poison_limit), 1, 1000},
      {"broker.priority_ageing_ms",
       "a waiting call rises by one level of priority for each of these, in milliseconds",
       CALLBOARD_FIELD(broker, priority_ageing_ms), 1, kDayMs},
      {"broker.dedupe_ttl_ms",
       "how long the outcome under an idempotency key is kept after the end, in milliseconds",
       CALLBOARD_FIELD(broker, dedupe_ttl_ms), 0, 365 * kDayMs},
      {"broker.dead_max", "calls in the dead set of one queue; the oldest go first",
       CALLBOARD_FIELD(broker, dead_max), 0, 10'000'000},
      {"broker.dead_bytes_max", "bytes in the dead set of one queue",
       CALLBOARD_FIELD(broker, dead_bytes_max), 0},
      {"broker.dead_ttl_ms", "how long a call stays in the dead set, in milliseconds",
       CALLBOARD_FIELD(broker, dead_ttl_ms), 0, 10 * 365 * kDayMs},
  };
}

std::vector<Setting> worker_rows() {
  return {
      {"worker.name", "the worker's name, unique at its broker; empty: made of host and process",
       CALLBOARD_FIELD(worker, name)},
      {"worker.load", "shared libraries that hold user classes and tasks",
       CALLBOARD_FIELD(worker, load)},
      {"worker.processes", "child processes of one worker", CALLBOARD_FIELD(worker, processes), 1,
       4096},
      {"worker.cores",
       "cores that the children are bound to, as in 0-3,8, or all; empty: not bound",
       CALLBOARD_FIELD(worker, cores)},
      {"worker.task_slots", "tasks that one child runs at once; 0: as many as it has cores",
       CALLBOARD_FIELD(worker, task_slots), 0, 100'000},
      {"worker.loop_warn_ms",
       "a method that holds an event loop this long is named in a warning, in milliseconds",
       CALLBOARD_FIELD(worker, loop_warn_ms), 1, kDayMs},
      {"worker.drain_timeout_ms", "how long running calls may go on after SIGTERM, in milliseconds",
       CALLBOARD_FIELD(worker, drain_timeout_ms), 0, kDayMs},
      {"worker.runtime_dir",
       "where the flight recorders of the children lie; empty: a directory of this user in memory",
       CALLBOARD_FIELD(worker, runtime_dir),
       0,
       0,
       {},
       "CALLBOARD_RUNTIME_DIR"},
  };
}

std::vector<Setting> log_rows() {
  return {
      {"log.level",
       "what is logged: debug, info, warning, error or off",
       CALLBOARD_FIELD(log, level),
       0,
       0,
       {"debug", "info", "warning", "error", "off"}},
  };
}

#undef CALLBOARD_FIELD

Result<bool> bad(const Setting& setting, const std::string& why) {
  return {Errc::invalid_option, std::string(setting.name) + " " + why};
}

Result<bool> check(const Setting& setting, const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    if (*number < setting.min || *number > setting.max) {
      return bad(setting, "must lie between " + std::to_string(setting.min) + " and " +
                              std::to_string(setting.max) + ", not " + std::to_string(*number));
    }
  }
  const auto* text = std::get_if<std::string>(&value);
  if (text != nullptr && !setting.choices.empty() &&
      std::find(setting.choices.begin(), setting.choices.end(), *text) == setting.choices.end()) {
    std::string all;
    for (const auto choice : setting.choices) {
      all += (all.empty() ? "" : ", ") + std::string(choice);
    }
    return bad(setting, "must be one of " + all + ", not \"" + *text + "\"");
  }
  return true;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (comma > 0) items.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04X", static_cast<unsigned char>(c));
      out += escape.data();
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

std::string_view Setting::section() const { return name.substr(0, name.find('.')); }
std::string_view Setting::key() const { return name.substr(name.find('.') + 1); }

std::string_view Setting::type() const {
  static Settings any;  // only the type of the field is looked at
  static constexpr std::array<std::string_view, 4> kNames = {"flag", "number", "text", "list"};
  return kNames[field(any).index()];
}

std::string Setting::environment() const {
  std::string out = "CALLBOARD_";
  for (const char c : name) {
    out += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

std::string Setting::flag() const {
  std::string out = "--";
  out += section() == "log" ? name : key();
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '_' || c == '.'; }, '-');
  return out;
}

std::span<const Setting> table() {
  static const std::vector<Setting> kRows = [] {
    std::vector<Setting> rows;
    for (const auto& part : {client_rows(), broker_rows(), worker_rows(), log_rows()}) {
      rows.insert(rows.end(), part.begin(), part.end());
    }
    return rows;
  }();
  return kRows;
}

int find(std::string_view name) {
  const auto rows = table();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

Value get(const Setting& setting, const Settings& settings) {
  // The field is only read; rows are written once, for both directions.
  return std::visit([](auto* field) -> Value { return *field; },
                    setting.field(const_cast<Settings&>(settings)));
}

Result<bool> set(const Setting& setting, const Value& value, Settings& settings) {
  const Field field = setting.field(settings);
  if (field.index() != value.index()) {
    const std::string type(setting.type());
    return bad(setting, "is a " + type + ", which " + print(value) + " is not");
  }
  if (auto checked = check(setting, value); !checked) return checked;
  std::visit(
      [&value](auto* place) { *place = std::get<std::remove_pointer_t<decltype(place)>>(value); },
      field);
  return true;
}

Result<Value> parse(const Setting& setting, std::string_view text) {
  const auto unfit = [&](const char* what) {
    const std::string subject(setting.name);
    return Result<Value>(Errc::invalid_option,
                         subject + " is " + what + ", not \"" + std::string(text) + "\"");
  };
  const auto type = setting.type();
  if (type == "text") return Value(std::string(text));
  if (type == "list") return Value(split(text));
  if (type == "flag") {
    if (text == "true" || text == "1" || text == "yes" || text == "on") return Value(true);
    if (text == "false" || text == "0" || text == "no" || text == "off") return Value(false);
    return unfit("true or false");
  }
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return unfit("a whole number");
  return Value(number);
}

std::string print(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return in_quotes(*text);
  std::string out = "[";
  for (const auto& item : std::get<std::vector<std::string>>(value)) {
    out += (out.size() > 1 ? ", " : "") + in_quotes(item);
  }
  return out + "]";
}

}  // namespace callboard::config
