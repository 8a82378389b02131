#include "common/shared_peer.hpp"

#include "common/fields.hpp"
#include "common/log.hpp"

#include <utility>

namespace callboard::wire {

namespace {

constexpr std::uint32_t kReferenceFields = 5;

std::string encode_reference(const SharedReference& reference) {
  std::string bytes;
  Writer out(bytes);
  out.array(kReferenceFields);
  out.str(reference.segment);
  out.uint(reference.block);
  out.uint(reference.generation);
  out.uint(reference.offset);
  out.uint(reference.bytes);
  return bytes;
}

bool decode_reference(std::string_view bytes, SharedReference& reference) {
  Reader in(bytes);
  std::uint32_t n = 0;
  return in.array(n) && n >= kReferenceFields && read_name(in, reference.segment) &&
         read_u32(in, reference.block) && in.uint(reference.generation) &&
         in.uint(reference.offset) && in.uint_max(reference.bytes, limits::kPayloadBytesMax);
}

/// The type of a frame's first message; 0 when there is none. `in` stands before its fields.
std::uint64_t first_type(FrameReader& in, std::uint32_t& fields) {
  std::uint64_t version = 0;
  std::uint64_t epoch = 0;
  std::uint64_t type = 0;
  return in.header(version, epoch) && in.message(type, fields) ? type : 0;
}

bool read_memory(std::string_view head, Memory& said) {
  FrameReader in({head, {}});
  std::uint32_t fields = 0;
  return first_type(in, fields) == static_cast<std::uint64_t>(Type::memory) &&
         read(in, fields, said);
}

}  // namespace

bool SharedPeer::begins_with(std::string_view head, Type type) {
  FrameReader in({head, {}});
  std::uint32_t fields = 0;
  return first_type(in, fields) == static_cast<std::uint64_t>(type);
}

bool SharedPeer::is_ours(std::string_view head) {
  Memory said;
  return begins_with(head, Type::memory) && read_memory(head, said);
}

bool SharedPeer::say(Frame& out) {
  const std::string probe = memory_->probe();
  if (probe.empty()) return false;
  FrameWriter writer(out, 0);  // whoever does not know it takes it for an older run's, and drops it
  write(writer, Memory{probe, found_});
  found_told_ = found_;
  return true;
}

bool SharedPeer::offer(Frame& out) {
  return !off_ && memory_->enabled() && say(out);
}

bool SharedPeer::on_frame(std::string_view head, Frame& out) {
  Memory said;
  if (!read_memory(head, said)) return false;
  if (off_ || !memory_->enabled()) return false;
  if (said.probe != probe_) {
    found_ = memory_->read_probe(said.probe);
    probe_ = std::move(said.probe);
  }
  if (!reads_ours_ && said.found != 0 && said.found == memory_->probe_token()) {
    reads_ours_ = true;
    memory_->add_reader();
  }
  return found_ != found_told_ && say(out);
}

void SharedPeer::forget() {
  if (std::exchange(reads_ours_, false)) memory_->remove_reader();
  probe_.clear();
  found_ = found_told_ = 0;
}

void SharedPeer::failed() {
  forget();
  off_ = ++failures_ >= kFailuresMax;
  log::warning(off_ ? "shared memory of a peer cannot be read: payloads go through the socket"
                    : "a value in a peer's shared memory cannot be read: it connects anew");
}

std::optional<std::string> SharedPeer::reference_to(const Blob& part) {
  if (!reads_ours_ || part.size() < limits::kPartBytesMin) return std::nullopt;
  const auto reference = memory_->find(part.view());
  if (!reference) return std::nullopt;
  return encode_reference(*reference);
}

void SharedPeer::put_references(std::vector<Blob>& parts) {
  for (Blob& part : parts) {
    if (auto reference = reference_to(part)) part = Blob(std::move(*reference));
  }
}

bool SharedPeer::resolve(std::vector<Blob>& parts) {
  if (found_told_ == 0) return true;
  for (Blob& part : parts) {
    if (part.size() >= limits::kPartBytesMin) continue;
    SharedReference reference;
    if (!decode_reference(part.view(), reference)) return false;
    switch (memory_->open(reference, populate_, part)) {
      case SharedAccess::ok: break;
      case SharedAccess::gone: part = Blob(std::string()); break;
      case SharedAccess::unreadable: return false;
    }
  }
  return true;
}

}  // namespace callboard::wire
