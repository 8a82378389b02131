// Calls that left memory are read from the store, in pages, before their turn.
#include "broker/core/core.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace callboard::broker {

namespace {

/// Bytes of arguments that are read at once, unless one call has more.
constexpr std::uint64_t kPageBytes = 1 << 20;

}  // namespace

/// Asks for what is soon needed of the queue's calls.
void Core::read_ahead(Queue& queue) {
  const bool serves = !queue.instances.empty() || queue.kind == QueueKind::task;
  if (queue.paused || !serves || queue.state == QueueState::dead) return;
  for (Lane& lane : queue.lanes) {
    if (lane.head != nullptr && lane.head->stub) {
      if (lane.stored->read == 0) ask_stubs(queue, lane);
      continue;
    }
    if (lane.stored == nullptr || lane.stored->read != 0 || lane.stored->runs.empty()) continue;
    const std::uint64_t first = lane.stored->runs.begin()->first;
    if (lane.head != nullptr && lane.head->number + page_ < first) continue;
    ask_page(queue, lane);
  }
}

void Core::ask_page(Queue& queue, Lane& lane) {
  Reading reading;
  std::uint64_t bytes = 0;
  for (const auto& [number, run] : lane.stored->runs) {
    const std::uint64_t each = run.bytes / run.count;
    for (std::uint64_t i = 0; i < run.count; ++i) {
      bytes += each;
      const bool full = reading.numbers.size() >= page_ || bytes > kPageBytes;
      if (full && !reading.numbers.empty()) return ask(queue, lane, std::move(reading));
      reading.numbers.push_back(number + i);
    }
  }
  ask(queue, lane, std::move(reading));
}

void Core::ask_stubs(Queue& queue, Lane& lane) {
  Reading reading;
  for (Call* at = lane.head; at != nullptr && at->stub && reading.numbers.size() < page_;
       at = at->next) {
    reading.numbers.push_back(at->number);
    reading.stubs.push_back(CallSlab::ref(*at));
  }
  ask(queue, lane, std::move(reading));
}

void Core::ask(Queue& queue, Lane& lane, Reading reading) {
  reading.queue = QueuePtr(&queue);
  reading.group = lane.group;
  reading.priority = lane.priority;
  lane.stored->read = ++readings_made_;
  effects_->reads.push_back(
      {readings_made_, queue_key(queue.name(), ":calls"), reading.numbers});
  readings_.emplace(readings_made_, std::move(reading));
}

/// What was asked for has come.
void Core::on_calls_read(const CallsRead& read) {
  const auto found = readings_.find(read.id);
  if (found == readings_.end()) return;
  const Reading reading = std::move(found->second);
  readings_.erase(found);
  Queue& queue = *reading.queue;
  queue.lane(reading.group, reading.priority).stored->read = 0;
  std::vector<CallSlab::Ref> lost;
  std::size_t at = 0;
  for (std::size_t i = 0; i < reading.numbers.size();) {
    // One that was asked for may have ended since, or be a stub.
    Lane& lane = queue.lane(reading.group, reading.priority);
    auto run = lane.stored->runs.upper_bound(reading.numbers[i]);
    const bool in_run = run != lane.stored->runs.begin() &&
                        reading.numbers[i] < std::prev(run)->second.end();
    if (in_run) {
      take_back(lane, std::prev(run)->second, reading, read, i, at, lost);
      continue;
    }
    const std::optional<std::string_view> record = read.record(i, at);
    Call* stub = i < reading.stubs.size() ? reading.stubs[i].get() : nullptr;
    if (stub != nullptr && stub->stub && stub->state != CallState::ended) {
      if (!record || !fill_stub(*stub, *record)) lost.push_back(CallSlab::ref(*stub));
    }
    ++i;
  }
  for (const CallSlab::Ref& ref : lost) {
    Call* call = ref.get();
    if (call == nullptr || call->state == CallState::ended) continue;
    log(2, "call " + to_string(call->id()) + " of " + queue.name() + " is gone from the store");
    end_with(*call, Errc::lost, "the store no longer has it");
  }
  if (queue.state != QueueState::dead) wake(queue);
}

/// The calls from `i` on that stand at the beginning of the run are in memory again.
void Core::take_back(Lane& lane, StoredRun& run, const Reading& reading, const CallsRead& read,
                     std::size_t& i, std::size_t& at, std::vector<CallSlab::Ref>& lost) {
  Queue& queue = *run.queue;
  CALLBOARD_CHECK(reading.numbers[i] == run.number);
  Call* before = lane.before(run.number);
  std::uint64_t taken = 0;
  std::uint64_t bytes = 0;
  bool whole = true;
  while (whole && i < reading.numbers.size() && taken < run.count &&
         reading.numbers[i] == run.number + taken) {
    const std::optional<std::string_view> record = read.record(i, at);
    Call* call = record ? restore_stored(run, run.seq + taken, *record) : nullptr;
    ++i;
    if (call == nullptr) {
      whole = false;
      break;
    }
    call->number = run.number + taken;
    bytes += call->stored_bytes;
    lane.insert_behind(before, *call);
    before = call;
    ++taken;
  }
  counters_.calls_read += taken;
  queue.absent -= taken;
  queue.bytes = queue.bytes - std::min(queue.bytes, run.share(taken)) + bytes;
  const std::uint64_t missing = run.number + taken;
  if (taken > 0) cut_run(lane, run, taken);
  if (whole) return;
  const auto rest = lane.stored->runs.find(missing);
  CALLBOARD_CHECK(rest != lane.stored->runs.end());
  lost.push_back(CallSlab::ref(make_stub(rest->second, missing, true)));
}

/// A call of the run as its record says, ready to be sent; null when that is another one.
Call* Core::restore_stored(const StoredRun& run, std::uint64_t seq, std::string_view record) {
  std::string problem;
  Call* call = restore_record(*run.queue, record, problem);
  if (call == nullptr) return nullptr;
  --run.queue->open_calls;  // it was counted all the time
  if (call->session != run.session || call->seq != seq || call->group != run.group ||
      call->priority != run.priority) {
    call->session->calls.erase(call->seq);
    slab_.free(*call);
    --run.queue->objects;
    return nullptr;
  }
  call->counted = true;
  call->no_result = call->no_result || run.no_result;
  call->since_us = run.since_us;
  call->state = CallState::ready;
  return call;
}

/// Its arguments are there: it is a call as others are.
bool Core::fill_stub(Call& stub, std::string_view record) {
  wire::Body args;
  std::string_view options;
  if (!read_stored(record, stub.id(), options, args)) return false;
  slab_.fill(stub, options, args.bytes);
  stub.stub = false;
  --stub.queue->absent;
  ++counters_.calls_read;
  if (stub.state == CallState::waiting) enter(stub);
  return true;
}

/// Only its arguments are missing, and it will be sent, or is out already.
void Core::want_back(Call& stub) {
  Lane& lane = stub.queue->lane(stub.group, stub.priority);
  if (lane.stored->read != 0) return;
  Reading reading;
  reading.numbers.push_back(stub.number);
  reading.stubs.push_back(CallSlab::ref(stub));
  ask(*stub.queue, lane, std::move(reading));
}

}  // namespace callboard::broker
