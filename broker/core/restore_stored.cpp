// A broker run that finds more calls than it may have in memory: of those that were never sent only
// the places are kept, and they are left in the store.
#include "broker/core/core.hpp"
#include "broker/core/records.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

/// Memory that a loaded call takes beside its record, about.
constexpr std::uint64_t kLoadedBytes = sizeof(Call) + 64;

/// What is asked of the options of a call that may wait in the store only.
bool is_plain(const CallRecord& record) {
  if (record.deadline_wall_ms != 0) return false;
  if (record.options.empty()) return true;
  wire::CallOptions options;
  std::string problem;
  wire::Reader in(record.options);
  if (!wire::read(in, options, problem)) return false;
  options.headers.clear();
  options.when_full.reset();
  return options.empty();
}

}  // namespace

/// True: the call is not to be loaded, but for its place.
bool Core::load_stored(std::string_view name, std::uint64_t number, std::string_view bytes) {
  // One that went back is compared with what workers say, and loaded whole for that.
  if (options_.memory_max == 0 || !options_.went_back.empty() || restored_.journal_read) {
    return false;
  }
  if (!restored_.stores) {
    restored_.call_bytes += bytes.size() + kLoadedBytes;
    if (restored_.call_bytes <= options_.memory_max / 2) return false;
    begin_stored();
  }
  Restored::StoredQueue& queue = stored_queue(name);
  if (!queue.alive || number <= queue.sent_through || queue.sent.contains(number)) return false;
  if (journal_.changes(queue.key) && journal_.says(queue.key, std::to_string(number))) return true;
  CallRecord record;
  if (!read_call_record(bytes, record) || !is_plain(record)) return false;
  auto method = std::find(queue.methods.begin(), queue.methods.end(), record.method);
  if (method == queue.methods.end()) {
    if (queue.methods.size() >= limits::kMethodsMax) return false;
    method = queue.methods.insert(method, std::string(record.method));
  }
  queue.calls.push_back({number, record.id.seq, record.id.session,
                         static_cast<std::uint32_t>(record.options.size() + record.args.size()),
                         static_cast<std::uint16_t>(method - queue.methods.begin())});
  return true;
}

/// There are more than memory may take: from now on, and of those that were loaded.
void Core::begin_stored() {
  restored_.stores = true;
  (void)journal_.recover();  // what cannot be read is found again, and said, when all is loaded
  std::map<std::string, std::vector<std::pair<std::uint64_t, std::string>>, std::less<>> loaded;
  loaded.swap(restored_.calls);
  for (auto& [name, calls] : loaded) {
    std::vector<std::pair<std::uint64_t, std::string>> stay;
    for (auto& [number, record] : calls) {
      if (!load_stored(name, number, record)) stay.emplace_back(number, std::move(record));
      record = {};
    }
    if (!stay.empty()) restored_.calls.emplace(name, std::move(stay));
    calls = {};
  }
}

Restored::StoredQueue& Core::stored_queue(std::string_view name) {
  const auto found = restored_.stored.find(name);
  if (found != restored_.stored.end()) return found->second;
  Restored::StoredQueue& queue = restored_.stored[std::string(name)];
  queue.key = queue_key(name, ":calls");
  const auto note = [&](std::string_view field, std::string_view value) {
    if (!field.starts_with("sent.")) return;
    queue.sent_through = std::max(queue.sent_through, number_of(value));
  };
  std::string id = name.starts_with('~') ? std::string(name.substr(1)) : std::string();
  if (const auto fields = restored_.queues.find(std::string(name));
      fields != restored_.queues.end()) {
    for (const auto& [field, value] : fields->second) {
      note(field, value);
      if (field == "id") id = value;
      if (field == "kind" && value == "task") queue.alive = true;
    }
  }
  queue.alive = queue.alive || restored_.actors.contains(id);
  for (const auto& sent : restored_.sent) {
    if (sent.queue == name) queue.sent.insert(number_of(sent.number));
  }
  const std::string own = queue_key(name, "");
  const std::string sent = queue_key(name, ":sent");
  journal_.each([&](std::string_view key, std::string_view field, std::string_view value) {
    if (key == own) note(field, value);
    if (key == sent) queue.sent.insert(number_of(field));
  });
  return queue;
}

void Core::restore_stored(Queue& queue, const Restored::StoredQueue& stored) {
  std::vector<Restored::StoredEntry> calls = stored.calls;
  std::sort(calls.begin(), calls.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  std::vector<std::uint16_t> methods;
  for (const std::string& method : stored.methods) {
    methods.push_back(static_cast<std::uint16_t>(std::max(queue.intern_method(method), 0)));
  }
  Session* session = nullptr;
  for (const Restored::StoredEntry& entry : calls) {
    if (session == nullptr || session->id != entry.session) {
      const auto found = sessions_.find(entry.session);
      session = found == sessions_.end() ? nullptr : found->second.get();
    }
    if (session == nullptr) continue;  // as of others whose session is gone
    StoredRun run;
    run.number = entry.number;
    run.seq = entry.seq;
    run.count = 1;
    run.bytes = entry.bytes;
    run.since_us = now_.mono_us;
    run.queue = &queue;
    run.session = session;
    run.method = methods[entry.method];
    run.group = queue.methods->groups[run.method];
    ++queue.open_calls;
    ++queue.count;
    queue.bytes += run.bytes;
    queue.next_number = std::max(queue.next_number, run.end());
    Lane& lane = queue.lane(run.group, run.priority);
    add_run(lane, run);
    const bool passed = queue.leaves_in_order() && entry.number <= lane.watermark;
    const bool orphan = queue.state == QueueState::dead || passed;
    if (!orphan && !stored.sent.contains(entry.number)) continue;
    // It was sent after all.
    Call& stub = make_stub(*stored_run(*session, entry.seq), entry.number, false);
    stub.orphan = orphan;
    restored_.unfinished.push_back(&stub);
  }
}

bool Core::read_stored(std::string_view bytes, CallId id, std::string_view& options,
                       wire::Body& args) {
  CallRecord record;
  if (!read_call_record(bytes, record) || record.id != id) return false;
  options = record.options;
  args.bytes = record.args;
  return true;
}

}  // namespace callboard::broker
