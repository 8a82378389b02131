// Messages between a client and the broker.

#include "common/call_run.hpp"
#include "common/fields.hpp"
#include "common/messages.hpp"
#include "common/packed.hpp"

#include <algorithm>
#include <bit>
#include <span>

namespace callboard::wire {

namespace {

/// Numbers that lie so close together are put in order by marking them, one bit for each place.
constexpr std::uint64_t kPlacesPerNumber = 16;

void add_run(Ranges& ranges, std::uint64_t first, std::uint64_t count) {
  if (!ranges.empty() && first == ranges.back().first + ranges.back().second) {
    ranges.back().second += count;
  } else {
    ranges.emplace_back(first, count);
  }
}

/// `places`: from the smallest number, `least`, to the greatest.
Ranges ranges_of_marks(std::span<const std::uint64_t> numbers, std::uint64_t least,
                       std::uint64_t places) {
  constexpr unsigned kBits = 64;
  std::vector<std::uint64_t> marks((places + kBits - 1) / kBits);
  for (const std::uint64_t number : numbers) {
    marks[(number - least) / kBits] |= std::uint64_t{1} << ((number - least) % kBits);
  }
  Ranges ranges;
  for (std::size_t i = 0; i < marks.size(); ++i) {
    std::uint64_t word = marks[i];
    for (unsigned at = 0; word != 0;) {
      const auto gap = static_cast<unsigned>(std::countr_zero(word));
      word >>= gap;
      const auto run = static_cast<unsigned>(std::countr_one(word));
      add_run(ranges, least + i * kBits + at + gap, run);
      at += gap + run;
      word = run == kBits ? 0 : word >> run;
    }
  }
  return ranges;
}

}  // namespace

Ranges ranges_of(std::vector<std::uint64_t>& numbers) {
  if (numbers.empty()) return {};
  // Most come in order, and to see that costs far less than to put them there.
  if (!std::is_sorted(numbers.begin(), numbers.end())) {
    const auto [least, greatest] = std::minmax_element(numbers.begin(), numbers.end());
    if (*greatest - *least < kPlacesPerNumber * numbers.size()) {
      return ranges_of_marks(numbers, *least, *greatest - *least + 1);
    }
    std::sort(numbers.begin(), numbers.end());
  }
  Ranges ranges;
  for (const std::uint64_t number : numbers) {
    if (!ranges.empty() && number < ranges.back().first + ranges.back().second) continue;
    add_run(ranges, number, 1);
  }
  return ranges;
}

std::string_view name_of(CancelAnswer answer) {
  switch (answer) {
    case CancelAnswer::cancelled_before_start: return "cancelled_before_start";
    case CancelAnswer::cancelled_between_attempts: return "cancelled_between_attempts";
    case CancelAnswer::stopping: return "stopping";
    case CancelAnswer::too_late: return "too_late";
    case CancelAnswer::killed: return "killed";
    case CancelAnswer::unknown: return "unknown";
    case CancelAnswer::needs_consent: return "needs_consent";
  }
  return "unknown";
}

// --- client to broker ------------------------------------------------------------------------

void write(FrameWriter& out, const Open& m) {
  begin(out, Type::open, 6);
  out.uint(m.handle);
  out.uint(static_cast<std::uint64_t>(m.kind));
  write_id(out, m.actor);
  out.str(m.name);
  write_names(out, m.methods);
}

bool read(FrameReader& in, std::uint32_t fields, Open& m) {
  // A name may carry a namespace in front: "namespace/name".
  constexpr std::size_t kBytesMax = 2 * limits::kNameBytesMax + 1;
  return has_fields(in, fields, 6) && in.uint_max(m.handle, limits::kHandlesMax) &&
         read_enum(in, m.kind, TargetKind::task) && read_id(in, m.actor) &&
         read_text(in, m.name, kBytesMax) && read_names(in, m.methods, limits::kMethodsMax) &&
         in.skip_fields(fields - 6);
}

void write(FrameWriter& out, const Methods& m) {
  begin(out, Type::methods, 2);
  out.uint(m.handle);
  write_names(out, m.names);
}

bool read(FrameReader& in, std::uint32_t fields, Methods& m) {
  return has_fields(in, fields, 2) && in.uint_max(m.handle, limits::kHandlesMax) &&
         read_names(in, m.names, limits::kMethodsMax) && in.skip_fields(fields - 2);
}

void write(FrameWriter& out, const Close& m) {
  begin(out, Type::close, 1);
  out.uint(m.handle);
}

bool read(FrameReader& in, std::uint32_t fields, Close& m) {
  return has_fields(in, fields, 1) && in.uint_max(m.handle, limits::kHandlesMax) &&
         in.skip_fields(fields - 1);
}

void write(FrameWriter& out, const Create& m) {
  begin(out, Type::create, 6);
  out.uint(m.seq);
  out.uint(m.handle);
  out.str(m.class_name);
  out.body(m.args);
  write(out, m.options);
  write_names(out, m.methods);
}

bool read(FrameReader& in, std::uint32_t fields, Create& m, std::string& problem) {
  problem.clear();
  std::string_view options;
  const bool good = has_fields(in, fields, 6) && in.uint(m.seq) && m.seq != 0 &&
                    in.uint_max(m.handle, limits::kHandlesMax) && read_name(in, m.class_name) &&
                    in.body(m.args) && in.raw(options) &&
                    read_names(in, m.methods, limits::kMethodsMax) && in.skip_fields(fields - 6);
  if (!good) return in.fail();
  // The frame goes on behind an option that makes no sense: only this message is refused.
  Reader encoded(options);
  m.options = ActorOptions();
  read(encoded, m.options, problem);
  return true;
}

void write(FrameWriter& out, const Submit& m) {
  Packed head(out, m.args, m.options.size());
  pack_submit(head, m.seq, m.handle, m.method, m.options, [&] { head.body(out, m.args); });
}

bool read(FrameReader& frame, std::uint32_t fields, Submit& m) {
  FrameReader in = frame;  // in registers: see Reader
  if (fields < 5 || !in.uint(m.seq) || !read_u32(in, m.handle) || !read_u32(in, m.method) ||
      !in.body(m.args) || m.seq == 0 || m.handle > limits::kHandlesMax) {
    return frame.fail();
  }
  m.options = {};
  const bool options = !in.try_nil();
  frame.go_on_after(in);
  if (options && !read_encoded_map(frame, m.options)) return false;
  return fields == 5 || frame.skip_fields(fields - 5);
}

void write(FrameWriter& out, const Taken& m) {
  begin(out, Type::taken, 1);
  write_ranges(out, m.seqs);
}

bool read(FrameReader& in, std::uint32_t fields, Taken& m) {
  return has_fields(in, fields, 1) && read_ranges(in, m.seqs) && in.skip_fields(fields - 1);
}

void write(FrameWriter& out, const Cancel& m) {
  begin(out, Type::cancel, 3);
  write_id(out, m.call);
  out.boolean(m.force);
}

bool read(FrameReader& in, std::uint32_t fields, Cancel& m) {
  return has_fields(in, fields, 3) && read_id(in, m.call) && in.boolean(m.force) &&
         in.skip_fields(fields - 3);
}

void write(FrameWriter& out, const Resume& m) {
  begin(out, Type::resume, 2);
  out.uint(m.handle);
  out.uint(m.seen);
}

bool read(FrameReader& in, std::uint32_t fields, Resume& m) {
  m.seen = UINT64_MAX;
  return has_fields(in, fields, 1) && in.uint_max(m.handle, limits::kHandlesMax) &&
         (fields == 1 || (in.uint(m.seen) && in.skip_fields(fields - 2)));
}

void write(FrameWriter& out, const Kill& m) {
  begin(out, Type::kill, 3);
  out.uint(m.request);
  out.uint(m.handle);
  out.boolean(m.restart);
}

bool read(FrameReader& in, std::uint32_t fields, Kill& m) {
  return has_fields(in, fields, 3) && in.uint(m.request) &&
         in.uint_max(m.handle, limits::kHandlesMax) && in.boolean(m.restart) &&
         in.skip_fields(fields - 3);
}

void write(FrameWriter& out, const Waiting& m) {
  begin(out, Type::waiting, 5);
  write_id(out, m.self);
  write_id(out, m.other);
  out.boolean(m.begins);
}

bool read(FrameReader& in, std::uint32_t fields, Waiting& m) {
  return has_fields(in, fields, 5) && read_id(in, m.self) && read_id(in, m.other) &&
         in.boolean(m.begins) && in.skip_fields(fields - 5);
}

void write(FrameWriter& out, const Admin& m) {
  begin(out, Type::admin, 3);
  out.uint(m.request);
  out.str(m.verb);
  write_encoded(out, m.info);
}

bool read(FrameReader& in, std::uint32_t fields, Admin& m) {
  return has_fields(in, fields, 3) && in.uint(m.request) && read_name(in, m.verb) &&
         read_encoded(in, m.info) && in.skip_fields(fields - 3);
}

// --- broker to client ------------------------------------------------------------------------

void write(FrameWriter& out, const Opened& m) {
  begin(out, Type::opened, 10);
  out.uint(m.handle);
  out.uint(static_cast<std::uint64_t>(m.code));
  write_text(out, m.text);
  write_id(out, m.actor);
  out.str(m.queue);
  out.str(m.class_name);
  out.uint(static_cast<std::uint64_t>(m.durability));
  out.uint(static_cast<std::uint64_t>(m.when_full));
  out.boolean(m.retried);
}

bool read(FrameReader& in, std::uint32_t fields, Opened& m) {
  m.retried = false;
  return has_fields(in, fields, 9) && in.uint_max(m.handle, limits::kHandlesMax) &&
         read_code(in, m.code) && read_text(in, m.text, kTextBytesMax) && read_id(in, m.actor) &&
         read_text(in, m.queue, kTextBytesMax) && read_name(in, m.class_name) &&
         read_enum(in, m.durability, Durability::memory) &&
         read_enum(in, m.when_full, WhenFull::block) &&
         (fields == 9 || (in.boolean(m.retried) && in.skip_fields(fields - 10)));
}

void write(FrameWriter& out, const Accepted& m) {
  begin(out, Type::accepted, 3);
  out.uint(m.through);
  write_ranges(out, m.again);
  out.uint(m.commit_no);
}

bool read(FrameReader& in, std::uint32_t fields, Accepted& m) {
  m.commit_no = 0;
  return has_fields(in, fields, 2) && in.uint(m.through) && read_ranges(in, m.again) &&
         (fields < 3 || in.uint(m.commit_no)) && in.skip_fields(fields < 3 ? 0 : fields - 3);
}

void write(FrameWriter& out, const Refused& m) {
  begin(out, Type::refused, 5);
  out.uint(m.seq);
  out.uint(static_cast<std::uint64_t>(m.code));
  write_text(out, m.text);
  out.uint(m.retry_after_ms);
  out.uint(m.room);
}

bool read(FrameReader& in, std::uint32_t fields, Refused& m) {
  return has_fields(in, fields, 4) && in.uint(m.seq) && read_code(in, m.code) &&
         read_text(in, m.text, kTextBytesMax) && in.uint(m.retry_after_ms) &&
         (fields == 4 || (in.uint(m.room) && in.skip_fields(fields - 5)));
}

namespace {

/// `value()` writes the value.
template <class Value>
[[gnu::always_inline]] inline void pack(PackedAt& head, const CallResult& m, Value value) {
  head.array(4);
  head.uint(static_cast<std::uint8_t>(Type::result));
  head.uint(m.seq);
  head.uint(static_cast<std::uint64_t>(m.status));
  value();
}

}  // namespace

void write(FrameWriter& out, const CallResult& m) {
  Packed head(out, m.value);
  pack(head, m, [&] { head.body(out, m.value); });
}

char* put(char* at, const CallResult& m) {
  PackedAt head(at);
  pack(head, m, [&] { head.bin(m.value.bytes); });
  return head.end();
}

bool read(FrameReader& in, std::uint32_t fields, CallResult& m) {
  return read_result(in, fields, m);
}

void write(FrameWriter& out, const CancelAnswered& m) {
  begin(out, Type::cancel_answer, 3);
  write_id(out, m.call);
  out.uint(static_cast<std::uint64_t>(m.answer));
}

bool read(FrameReader& in, std::uint32_t fields, CancelAnswered& m) {
  return has_fields(in, fields, 3) && read_id(in, m.call) &&
         read_enum(in, m.answer, CancelAnswer::needs_consent) && in.skip_fields(fields - 3);
}

void write(FrameWriter& out, const Parked& m) {
  begin(out, Type::parked, 2);
  out.uint(m.handle);
  out.uint(m.seq);
}

bool read(FrameReader& in, std::uint32_t fields, Parked& m) {
  return has_fields(in, fields, 2) && in.uint_max(m.handle, limits::kHandlesMax) &&
         in.uint(m.seq) && in.skip_fields(fields - 2);
}

void write(FrameWriter& out, const Room& m) {
  begin(out, Type::room, 2);
  out.uint(m.handle);
  out.uint(m.calls);
}

bool read(FrameReader& in, std::uint32_t fields, Room& m) {
  return has_fields(in, fields, 2) && in.uint_max(m.handle, limits::kHandlesMax) &&
         in.uint(m.calls) && in.skip_fields(fields - 2);
}

void write(FrameWriter& out, const AdminAnswer& m) {
  begin(out, Type::admin_answer, 3);
  out.uint(m.request);
  out.uint(static_cast<std::uint64_t>(m.code));
  write_encoded(out, m.info);
}

bool read(FrameReader& in, std::uint32_t fields, AdminAnswer& m) {
  return has_fields(in, fields, 3) && in.uint(m.request) && read_code(in, m.code) &&
         read_encoded(in, m.info) && in.skip_fields(fields - 3);
}

}  // namespace callboard::wire
