// Memory that waiting calls take: beyond `memory_max` those at the tails of their lanes leave it,
// once their queue's hash in the store has them. read_back.cpp has their way back.
#include "broker/core/core.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace callboard::broker {

namespace {

/// Calls that are read at once at most, and at least.
constexpr std::uint64_t kPageMax = 2048;
constexpr std::uint64_t kPageMin = 2;
/// Pages at the head of a lane that stay: one that is being sent, and one before it is needed.
constexpr std::uint64_t kPagesKept = 2;
/// What calls with small arguments take, about.
constexpr std::uint64_t kCallBytes = 256;
/// Between two searches for calls that may leave, when there were none.
constexpr std::int64_t kPauseUsMin = 20'000;
constexpr std::int64_t kPauseUsMax = 640'000;
/// Lanes keep pages for no more than this part of the memory.
constexpr std::uint64_t kKeptPart = 4;

}  // namespace

std::uint64_t Core::memory_used() const {
  return slab_.bytes() + part_bytes_ + stored_runs_ * kStoredRunBytes;
}

/// A batch was taken, and what the journal has settled of it and of those before is on its way.
void Core::note_settling() {
  if (options_.memory_max == 0) return;
  batches_taken_.emplace_back(flight_no_, now_.mono_us);
  settling_before_ = std::min(journal_.unsettled_from(), flight_no_ + 1);
}

/// ... and has arrived: the hashes of queues have all calls that were accepted before settled_us_.
void Core::note_settled() {
  while (!batches_taken_.empty() && batches_taken_.front().first < settling_before_) {
    settled_us_ = batches_taken_.front().second;
    batches_taken_.pop_front();
  }
}

/// The store has all that there is of the call, and nobody but its lane waits for it.
bool Core::may_leave(const Call& call, const Lane& lane) const {
  const bool waits = call.state == CallState::ready || call.stub;
  const bool plain = call.extra == nullptr || (!call.special && call.extra->part);
  return waits && plain && call.durable && call.counted && call.in_list && !call.keyed &&
         !call.sent_record && !call.orphan && call.attempts == 0 && call.deadline_wall_ms == 0 &&
         call.max_retries == call.queue->options().max_retries && call.since_us < settled_us_ &&
         call.number > lane.watermark;
}

/// How much is read at once: so much that what so many lanes keep is a part of the memory.
void Core::share_pages(std::size_t lanes) {
  const std::uint64_t kept = options_.memory_max / kKeptPart / kCallBytes / kPagesKept;
  page_ = std::clamp<std::uint64_t>(kept / std::max<std::size_t>(lanes, 1), kPageMin, kPageMax);
}

/// What waits takes more than it may: calls leave, of long lanes first.
void Core::leave_memory() {
  const std::uint64_t most = options_.memory_max;
  if (most == 0 || memory_used() <= most - most / 8 || now_.mono_us < next_leave_us_) return;
  struct Long {
    std::uint64_t length;
    Queue* queue;
    Lane* lane;
  };
  std::vector<Long> lanes;
  queues_.each([&lanes](const QueuePtr& queue) {
    for (Lane& lane : queue->lanes) {
      if (lane.length > kPagesKept * kPageMin) lanes.push_back({lane.length, queue.get(), &lane});
    }
  });
  std::sort(lanes.begin(), lanes.end(),
            [](const Long& a, const Long& b) { return a.length > b.length; });
  share_pages(lanes.size());
  const std::uint64_t enough = most - most / 4;
  const std::uint64_t before = memory_used();
  for (const Long& each : lanes) {
    if (memory_used() <= enough) break;
    leave_lane_tail(*each.queue, *each.lane, enough);
  }
  // Nothing that may go: it is looked for less and less often.
  const bool none = memory_used() == before;
  leave_pause_us_ = none ? std::clamp(2 * leave_pause_us_, kPauseUsMin, kPauseUsMax) : 0;
  next_leave_us_ = now_.mono_us + leave_pause_us_;
}

/// From the tail of a lane on, until memory is `enough`.
void Core::leave_lane_tail(Queue& queue, Lane& lane, std::uint64_t enough) {
  const std::uint64_t used = memory_used();
  if (used <= enough) return;
  // What is being read must stay in front of what is read.
  const bool reads = lane.stored != nullptr && lane.stored->read != 0 && !lane.stored->runs.empty();
  const std::uint64_t from = reads ? lane.stored->runs.begin()->first : 0;
  std::uint64_t left = lane.length;
  std::uint64_t bytes = 0;
  std::vector<Call*> going;  // the last first
  for (Call* at = lane.tail; at != nullptr && bytes < used - enough; at = at->prev) {
    if (left-- <= kPagesKept * page_ || at->number < from) break;
    if (!may_leave(*at, lane)) continue;
    going.push_back(at);
    bytes += sizeof(Call) + at->data_bytes + (at->extra ? at->extra->part.size() : 0);
  }
  for (auto at = going.rbegin(); at != going.rend(); ++at) store_only(queue, lane, **at);
}

/// The call leaves memory.
void Core::store_only(Queue& queue, Lane& lane, Call& call) {
  StoredRun run;
  run.number = call.number;
  run.seq = call.seq;
  run.count = 1;
  run.bytes = call.stored_bytes;
  run.since_us = call.since_us;
  run.queue = &queue;
  run.session = call.session;
  run.method = call.method;
  run.group = call.group;
  run.priority = call.priority;
  run.no_result = call.no_result;
  lane.remove(call);
  call.session->calls.erase(call.seq);
  if (call.stub) {
    --queue.absent;
  } else {
    ++counters_.calls_left;
  }
  if (call.extra) part_bytes_ -= call.extra->part.size();
  slab_.free(call);
  --queue.objects;
  add_run(lane, run);
}

void Core::add_run(Lane& lane, const StoredRun& run) {
  if (lane.stored == nullptr) lane.stored = std::make_unique<StoredCalls>();
  auto& runs = lane.stored->runs;
  run.queue->absent += run.count;
  run.session->stored_calls += run.count;
  auto next = runs.lower_bound(run.number);
  if (next != runs.begin() && std::prev(next)->second.leads_to(run)) {
    StoredRun& before = std::prev(next)->second;
    before.count += run.count;
    before.bytes += run.bytes;
    if (next == runs.end() || !before.leads_to(next->second)) return;
    before.count += next->second.count;
    before.bytes += next->second.bytes;
    drop_run(lane, next->second);
    return;
  }
  StoredRun& made = runs.emplace_hint(next, run.number, run)->second;
  made.session->stored_runs.emplace(made.seq, &made);
  ++stored_runs_;
}

/// Forgets the run, not its calls.
void Core::drop_run(Lane& lane, StoredRun& run) {
  run.session->stored_runs.erase(run.seq);
  lane.stored->runs.erase(run.number);
  --stored_runs_;
}

/// The first `n` calls are no longer the run's, nor is what they count.
void Core::cut_run(Lane& lane, StoredRun& run, std::uint64_t n) {
  run.session->stored_calls -= n;
  if (n == run.count) return drop_run(lane, run);
  auto by_number = lane.stored->runs.extract(run.number);
  auto by_seq = run.session->stored_runs.extract(run.seq);
  run.bytes -= run.share(n);
  run.number += n;
  run.seq += n;
  run.count -= n;
  by_number.key() = run.number;
  by_seq.key() = run.seq;
  lane.stored->runs.insert(std::move(by_number));
  run.session->stored_runs.insert(std::move(by_seq));
}

/// The run that the call of the session is in; null when it is in none.
StoredRun* Core::stored_run(Session& session, std::uint64_t seq) {
  auto at = session.stored_runs.upper_bound(seq);
  if (at == session.stored_runs.begin()) return nullptr;
  StoredRun* const run = std::prev(at)->second;
  return seq < run->seq + run->count ? run : nullptr;
}

/// A call of which only the arguments are missing. `linked`: in its lane; otherwise it is to end.
Call& Core::make_stub(StoredRun& run, std::uint64_t number, bool linked) {
  CALLBOARD_CHECK(number >= run.number && number < run.end());
  Queue& queue = *run.queue;
  Lane& lane = queue.lane(run.group, run.priority);
  Call& call = slab_.make();
  ++queue.objects;
  call.stub = true;
  call.number = number;
  call.seq = run.seq + (number - run.number);
  call.queue = &queue;
  call.session = run.session;
  call.max_retries = static_cast<std::int16_t>(queue.options().max_retries);
  call.method = run.method;
  call.group = run.group;
  call.priority = run.priority;
  call.no_result = run.no_result;
  call.since_us = run.since_us;
  call.state = CallState::waiting;
  call.counted = true;
  call.session->calls.insert(call.seq, &call);
  const std::uint64_t behind = run.end() - number - 1;
  StoredRun rest = run;
  // Those in front keep the run; those behind it are a run of their own.
  const std::uint64_t in_front = number - run.number;
  rest.number = number + 1;
  rest.seq = call.seq + 1;
  rest.count = behind;
  rest.bytes = run.share(behind);
  const std::uint64_t front_bytes = run.share(in_front);
  call.stored_bytes = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(run.bytes - rest.bytes - front_bytes, UINT32_MAX));
  run.session->stored_calls -= 1 + behind;
  queue.absent -= behind;  // the stub counts as absent
  if (in_front == 0) {
    drop_run(lane, run);
  } else {
    run.count = in_front;
    run.bytes = front_bytes;
  }
  if (behind > 0) add_run(lane, rest);
  if (linked) lane.insert_late(call);
  return call;
}

/// Stubs of all calls of the queue that are not in memory, at most `max`, in order. None is in a
/// lane: they are about to end.
std::vector<Call*> Core::stubs_of(Queue& queue, std::size_t max) {
  std::vector<Call*> stubs;
  for (Lane& lane : queue.lanes) {
    while (lane.stored != nullptr && !lane.stored->runs.empty() && stubs.size() < max) {
      StoredRun& first = lane.stored->runs.begin()->second;
      stubs.push_back(&make_stub(first, first.number, false));
    }
  }
  return stubs;
}

}  // namespace callboard::broker
