#include "common/shared_memory.hpp"

#include "common/clock.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"

#include <dirent.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>

namespace callboard {

namespace {

constexpr std::uint64_t kBytesMaxDefault = 4ull << 30;
constexpr std::size_t kPageBytes = 4096;
constexpr std::uint64_t kSegmentBytes = 8u << 20;  ///< of a segment of small blocks
/// A full pool is not searched with every call, unless something was let go of in between.
constexpr std::int64_t kRoomAgainUs = 100'000;
/// A folder that had no room is not asked with every call: finding out takes long.
constexpr std::int64_t kCreateAgainUs = 1'000'000;
constexpr std::int64_t kTidyUs = 5'000'000;
/// Segments that nobody uses are given back after this long.
constexpr std::int64_t kIdleUs = 60'000'000;

/// Eight sizes between one power of two and the next: at most a ninth of a block is not used.
std::size_t block_bytes_for(std::size_t bytes) {
  std::size_t power = kPageBytes * 8;
  while (power * 2 <= bytes) power *= 2;
  const std::size_t step = power / 8;
  return std::max(kPageBytes, (bytes + step - 1) / step * step);
}

std::vector<std::string> segment_names(const std::string& folder) {
  std::vector<std::string> names;
  DIR* open = ::opendir(folder.c_str());
  if (open == nullptr) return names;
  while (const dirent* entry = ::readdir(open)) {
    const std::string_view name = entry->d_name;
    if (name.starts_with(SharedSegment::kNamePrefix)) names.emplace_back(name);
  }
  ::closedir(open);
  return names;
}

}  // namespace

SharedMemoryOptions SharedMemoryOptions::from_environment() {
  SharedMemoryOptions options;
  if (const char* folder = std::getenv("CALLBOARD_SHARED_MEMORY_DIR")) options.folder = folder;
  const char* set = std::getenv("CALLBOARD_SHARED_MEMORY");
  const std::string_view text = set == nullptr ? "" : set;
  if (text.empty() || text == "auto") return options;
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  const bool number = error == std::errc() && end == text.data() + text.size();
  if (!number && text != "off") {
    log::warning("CALLBOARD_SHARED_MEMORY is neither \"off\" nor a number of bytes: off");
  }
  options.bytes_max = number ? bytes : 0;
  return options;
}

/// What keeps one hold of a block.
struct SharedMemory::Held {
  SharedMemory& memory;
  SegmentPtr segment;
  std::uint32_t block;

  Held(SharedMemory& of, SegmentPtr in, std::uint32_t index)
      : memory(of), segment(std::move(in)), block(index) {}
  ~Held() {
    const std::lock_guard lock(memory.mutex_);
    segment->let_go(block);
    if (segment->own()) memory.room_again_us_ = 0;
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
};

// --- the whole ----------------------------------------------------------------------------------

SharedMemory::SharedMemory(SharedMemoryOptions options) : options_(std::move(options)) {
  struct statvfs facts {};
  if (options_.bytes_max) {
    bytes_max_ = *options_.bytes_max;
  } else if (::statvfs(options_.folder.c_str(), &facts) == 0) {
    bytes_max_ = std::min<std::uint64_t>(facts.f_bavail * facts.f_frsize / 4, kBytesMaxDefault);
  }
  if (bytes_max_ == 0) return;
  std::random_device random;
  name_prefix_ = std::string(SharedSegment::kNamePrefix) + std::to_string(::getpid()) + "-" +
                 std::to_string(static_cast<std::uint64_t>(random()) << 32 | random()) + "-";
  remove_abandoned();
}

SharedMemory::~SharedMemory() { close(); }

void SharedMemory::close() {
  {
    const std::lock_guard lock(mutex_);
    probe_.reset();
    by_address_.clear();
    by_name_.clear();
    own_.clear();
    bytes_max_ = pool_bytes_ = 0;
  }
  remove_abandoned();
}

SharedMemory& SharedMemory::process() {
  // Values of threads and statics may outlive everything: it is closed at the end, not destroyed.
  static auto* const memory = [] {
    auto* made = new SharedMemory(SharedMemoryOptions::from_environment());
    std::atexit([] { process().close(); });
    return made;
  }();
  return *memory;
}

void SharedMemory::remove_abandoned() {
  if (name_prefix_.empty()) return;
  for (const std::string& name : segment_names(options_.folder)) {
    SharedSegment::remove_abandoned(options_.folder, name);
  }
}

void SharedMemory::sweep() {
  remove_abandoned();
  tidy();
}

void SharedMemory::tidy(std::optional<Instant> now) {
  const std::int64_t now_us = now ? now->mono_us : clock_now().mono_us;
  if (now && now_us - tidied_us_.load(std::memory_order_relaxed) < kTidyUs) return;
  tidied_us_.store(now_us, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  room_again_us_ = 0;
  for (auto& [bytes, segments] : own_) {
    for (auto each = segments.begin(); each != segments.end();) {
      (*each)->clear_dead();
      const bool idle = (*each)->unused() && now_us - (*each)->used_us > kIdleUs;
      // Somebody may have removed the file: nobody new can open it.
      each = idle || (*each)->unlinked() ? retire(segments, each) : each + 1;
    }
  }
  std::vector<SegmentPtr> gone;
  for (const auto& [name, segment] : by_name_) {
    if (!segment->own() && !segment->holds_any() && segment->unlinked()) gone.push_back(segment);
  }
  for (const SegmentPtr& segment : gone) leave(segment);
}

std::uint64_t SharedMemory::pool_bytes() {
  const std::lock_guard lock(mutex_);
  return pool_bytes_;
}

// --- being found --------------------------------------------------------------------------------

std::string SharedMemory::probe() {
  const std::lock_guard lock(mutex_);
  if (!enabled()) return {};
  if (!probe_) probe_ = SharedSegment::create(options_.folder, next_name(), 0, 0);
  return probe_ ? probe_->name() : std::string();
}

std::uint64_t SharedMemory::probe_token() {
  const std::lock_guard lock(mutex_);
  return probe_ ? probe_->token() : 0;
}

std::uint64_t SharedMemory::read_probe(const std::string& name) {
  if (!enabled()) return 0;
  std::unique_ptr<SharedSegment> segment;
  if (SharedSegment::open(options_.folder, name, false, segment) != SharedAccess::ok) return 0;
  return segment->token();
}

// --- giving out ---------------------------------------------------------------------------------

Blob SharedMemory::share_or_keep(std::string bytes) {
  Blob shared = share(bytes);
  return shared ? shared : Blob(std::move(bytes));
}

Blob SharedMemory::share(std::span<const std::string_view> pieces) {
  std::size_t bytes = 0;
  for (const std::string_view piece : pieces) bytes += piece.size();
  if (bytes < limits::kSharedBytesMin || readers_.load() == 0) return {};
  SegmentPtr segment;
  std::uint32_t block = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!enabled() || !take_block(bytes, segment, block)) return {};
  }
  auto held = std::make_shared<Held>(*this, segment, block);
  char* const begin = segment->block(block);
  char* at = begin;
  for (const std::string_view piece : pieces) {
    std::memcpy(at, piece.data(), piece.size());
    at += piece.size();
  }
  return {std::move(held), {begin, bytes}};
}

bool SharedMemory::take_block(std::size_t bytes, SegmentPtr& segment, std::uint32_t& block) {
  const std::size_t block_bytes = block_bytes_for(bytes);
  std::vector<SegmentPtr>& segments = own_[block_bytes];
  const auto take = [&] {
    for (const SegmentPtr& each : segments) {
      if (!each->take_free(block)) continue;
      each->used_us = clock_now().mono_us;
      segment = each;
      return true;
    }
    return false;
  };
  if (take()) return true;
  const std::int64_t now_us = clock_now().mono_us;
  if (now_us < room_again_us_) return false;
  if (const SegmentPtr made = make_segment(now_us, block_bytes)) {
    segments.push_back(made);
    return take();
  }
  for (const SegmentPtr& each : segments) each->clear_dead();
  if (take()) return true;
  room_again_us_ = now_us + kRoomAgainUs;
  if (!std::exchange(told_, true)) {
    log::warning("no shared memory is left for payloads: they are copied through the sockets",
                 {{"taken_bytes", pool_bytes_}, {"bytes_max", bytes_max_.load()},
                  {"folder", options_.folder}, {"option", "CALLBOARD_SHARED_MEMORY"}});
  }
  return false;
}

SharedMemory::SegmentPtr SharedMemory::make_segment(std::int64_t now_us, std::size_t block_bytes) {
  const std::uint64_t target = std::min<std::uint64_t>(kSegmentBytes, bytes_max_ / 8);
  const auto blocks = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(target / block_bytes, 1, SharedSegment::kBlocksMax));
  const std::uint64_t bytes = SharedSegment::kHeaderBytes + blocks * block_bytes;
  if (now_us < create_again_us_ || !make_room(bytes, block_bytes)) return nullptr;
  SegmentPtr made = SharedSegment::create(options_.folder, next_name(), block_bytes, blocks);
  if (made == nullptr) {
    create_again_us_ = now_us + kCreateAgainUs;
    return nullptr;
  }
  pool_bytes_ += bytes;
  enter(made);
  return made;
}

/// Gives segments of other sizes back that nobody uses.
bool SharedMemory::make_room(std::uint64_t bytes, std::size_t block_bytes) {
  if (bytes > bytes_max_) return false;
  for (auto& [size, segments] : own_) {
    if (size == block_bytes) continue;
    while (pool_bytes_ + bytes > bytes_max_) {
      const auto idle = std::find_if(segments.begin(), segments.end(), [](const SegmentPtr& each) {
        return each->unused();  // and nobody can hold a block again that nobody holds
      });
      if (idle == segments.end()) break;
      retire(segments, idle);
    }
  }
  return pool_bytes_ + bytes <= bytes_max_;
}

/// What is still held of it stays where it is.
std::vector<SharedMemory::SegmentPtr>::iterator SharedMemory::retire(
    std::vector<SegmentPtr>& from, std::vector<SegmentPtr>::iterator segment) {
  SharedSegment::remove(options_.folder, (*segment)->name());
  pool_bytes_ -= (*segment)->file_bytes();
  leave(*segment);
  return from.erase(segment);
}

std::string SharedMemory::next_name() { return name_prefix_ + std::to_string(++names_); }

// --- holding what others gave out ---------------------------------------------------------------

void SharedMemory::enter(const SegmentPtr& segment) {
  by_name_[segment->name()] = segment;
  if (segment->blocks() > 0) by_address_[segment->block(0)] = segment;
}

void SharedMemory::leave(const SegmentPtr& segment) {
  if (segment->blocks() > 0) by_address_.erase(segment->block(0));
  by_name_.erase(std::string(segment->name()));
}

std::optional<SharedReference> SharedMemory::find(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  auto found = by_address_.upper_bound(bytes.data());
  if (found == by_address_.begin()) return std::nullopt;
  const SharedSegment& segment = *(--found)->second;
  const auto at = static_cast<std::size_t>(bytes.data() - segment.block(0));
  if (at >= segment.data_bytes()) return std::nullopt;
  SharedReference reference;
  reference.block = static_cast<std::uint32_t>(at / segment.block_bytes());
  reference.offset = at % segment.block_bytes();
  if (bytes.size() > segment.block_bytes() - reference.offset) return std::nullopt;
  reference.segment = segment.name();
  reference.generation = segment.generation(reference.block);
  reference.bytes = bytes.size();
  return reference;
}

SharedAccess SharedMemory::open(const SharedReference& reference, bool populate, Blob& value) {
  value = Blob();  // letting go of a block takes the lock
  SegmentPtr segment;
  const std::lock_guard lock(mutex_);
  const SharedAccess opened = open_segment(reference.segment, populate, segment);
  if (opened != SharedAccess::ok) return opened;
  if (reference.block >= segment->blocks() || reference.bytes > segment->block_bytes() ||
      reference.offset > segment->block_bytes() - reference.bytes) {
    return SharedAccess::unreadable;
  }
  const std::string_view view(segment->block(reference.block) + reference.offset,
                              reference.bytes);
  if (segment->bit() == SharedSegment::kNobody) {
    // Too many processes hold blocks of this segment. Whoever sent the reference holds this one
    // until we have answered, so a copy is nearly always good.
    std::string copy(view);
    if (!segment->still(reference.block, reference.generation)) return SharedAccess::gone;
    value = Blob(std::move(copy));
    return SharedAccess::ok;
  }
  if (!segment->hold(reference.block, reference.generation)) return SharedAccess::gone;
  value = Blob(std::make_shared<Held>(*this, std::move(segment), reference.block), view);
  return SharedAccess::ok;
}

SharedAccess SharedMemory::open_segment(const std::string& name, bool populate,
                                        SegmentPtr& segment) {
  if (!enabled()) return SharedAccess::unreadable;
  const auto known = by_name_.find(name);
  if (known != by_name_.end()) {
    segment = known->second;
    return SharedAccess::ok;
  }
  std::unique_ptr<SharedSegment> opened;
  const SharedAccess access = SharedSegment::open(options_.folder, name, populate, opened);
  if (access != SharedAccess::ok) return access;
  segment = std::move(opened);
  enter(segment);
  return SharedAccess::ok;
}

}  // namespace callboard
