#include "common/shared_segment.hpp"

#include "common/check.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <ctime>
#include <new>
#include <random>
#include <utility>

namespace callboard {

namespace {

constexpr std::uint64_t kMagic =
    std::bit_cast<std::uint64_t>(std::array{'c', 'b', 'm', 'e', 'm', 'o', 'r', '1'});
constexpr int kGenerationShift = SharedSegment::kHoldersMax;
constexpr std::uint64_t kHolders = (1ull << kGenerationShift) - 1;
/// Beyond this a file without a header is no segment that is just being made.
constexpr std::time_t kUnfinishedSeconds = 60;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// Locks the byte of that number for this open file. The kernel lets go of it when the file is
/// closed, at the latest when the process is dead.
bool lock_byte(int fd, unsigned number, short type, bool wait = false) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = number;
  lock.l_len = 1;
  int done = 0;
  do {
    done = ::fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
  } while (done != 0 && errno == EINTR);
  return done == 0;
}

std::uint64_t random_token() {
  std::random_device random;
  for (;;) {
    const std::uint64_t token = static_cast<std::uint64_t>(random()) << 32 | random();
    if (token != 0) return token;
  }
}

std::string path_of(const std::string& folder, const std::string& name) {
  return folder + "/" + name;
}

/// Names come from peers: nothing but a file of ours in the folder itself may be named.
bool good_name(const std::string& name) {
  return name.starts_with(SharedSegment::kNamePrefix) && name.size() < 100 &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

/// Opens a file of this user. -1 when there is none.
int open_file(const std::string& folder, const std::string& name, struct stat& facts) {
  const int fd =
      ::open(path_of(folder, name).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return -1;
  if (::fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_uid == ::geteuid()) return fd;
  ::close(fd);
  errno = EACCES;
  return -1;
}

}  // namespace

struct SharedSegment::Header {
  std::atomic<std::uint64_t> magic;  ///< written last
  std::uint64_t token;
  std::uint64_t block_bytes;
  std::uint64_t blocks;
  std::atomic<std::uint64_t> state[kBlocksMax];
};

// --- making and opening -------------------------------------------------------------------------

SharedSegment::SharedSegment(std::string name, int fd, Header* header, unsigned bit)
    : name_(std::move(name)), fd_(fd), header_(header), bit_(bit) {}

SharedSegment::~SharedSegment() {
  if (data_ != nullptr) ::munmap(data_, data_bytes());
  if (header_ != nullptr) ::munmap(header_, kHeaderBytes);
  ::close(fd_);
}

std::unique_ptr<SharedSegment> SharedSegment::create(const std::string& folder,
                                                     const std::string& name,
                                                     std::size_t block_bytes,
                                                     std::uint32_t blocks) {
  static_assert(sizeof(Header) <= kHeaderBytes);
  CALLBOARD_CHECK(blocks <= kBlocksMax && good_name(name));
  const std::string path = path_of(folder, name);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return nullptr;
  // Whoever looks for abandoned files may have it locked for a moment.
  bool good = lock_byte(fd, kOwner, F_WRLCK, true);
  const auto bytes = static_cast<off_t>(kHeaderBytes + block_bytes * blocks);
  // A file with holes would kill whoever first writes where the folder has no room any more.
  good = good && ::posix_fallocate(fd, 0, bytes) == 0;
  void* header = good ? ::mmap(nullptr, kHeaderBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                      : MAP_FAILED;
  if (header == MAP_FAILED) {
    ::unlink(path.c_str());
    ::close(fd);
    return nullptr;
  }
  auto* made = new (header) Header{};
  std::unique_ptr<SharedSegment> segment(new SharedSegment(name, fd, made, kOwner));
  made->token = random_token();
  made->block_bytes = block_bytes;
  made->blocks = blocks;
  if (!segment->map_blocks(block_bytes, blocks, true)) {
    ::unlink(path.c_str());
    return nullptr;
  }
  made->magic.store(kMagic, std::memory_order_release);
  return segment;
}

bool SharedSegment::map_blocks(std::size_t block_bytes, std::uint32_t blocks, bool populate) {
  block_bytes_ = block_bytes;
  if (blocks == 0) return true;
  const int access = own() ? PROT_READ | PROT_WRITE : PROT_READ;
  void* data = ::mmap(nullptr, block_bytes * blocks, access,
                      MAP_SHARED | (populate ? MAP_POPULATE : 0), fd_, kHeaderBytes);
  if (data == MAP_FAILED) return false;
  data_ = static_cast<char*>(data);
  held_.resize(blocks);
  return true;
}

SharedAccess SharedSegment::open(const std::string& folder, const std::string& name, bool populate,
                                 std::unique_ptr<SharedSegment>& segment) {
  if (!good_name(name)) return SharedAccess::unreadable;
  struct stat facts {};
  const int fd = open_file(folder, name, facts);
  if (fd < 0) return SharedAccess::unreadable;
  const auto file_bytes = static_cast<std::uint64_t>(facts.st_size);
  void* header = MAP_FAILED;
  if (file_bytes >= kHeaderBytes) {
    header = ::mmap(nullptr, kHeaderBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (header == MAP_FAILED) {
    ::close(fd);
    return SharedAccess::unreadable;
  }
  auto* found = static_cast<Header*>(header);
  std::unique_ptr<SharedSegment> opened(new SharedSegment(name, fd, found, kNobody));
  const bool whole = found->magic.load(std::memory_order_acquire) == kMagic;
  const std::uint64_t blocks = found->blocks;
  const std::uint64_t block_bytes = found->block_bytes;
  if (!whole || blocks > kBlocksMax ||
      (blocks > 0 && block_bytes > (file_bytes - kHeaderBytes) / blocks)) {
    return SharedAccess::unreadable;
  }
  if (!opened->map_blocks(block_bytes, static_cast<std::uint32_t>(blocks), populate)) {
    return SharedAccess::unreadable;
  }
  if (blocks > 0) opened->claim_bit();
  segment = std::move(opened);
  return SharedAccess::ok;
}

void SharedSegment::claim_bit() {
  for (unsigned bit = kOwner + 1; bit < kHoldersMax; ++bit) {
    if (!lock_byte(fd_, bit, F_WRLCK)) continue;
    clear_bit(*header_, blocks(), bit);  // what is left of one that died
    bit_ = bit;
    return;
  }
}

// --- holding ------------------------------------------------------------------------------------

std::uint64_t SharedSegment::token() const { return header_->token; }

std::uint64_t SharedSegment::generation(std::uint32_t index) const {
  return header_->state[index].load(std::memory_order_relaxed) >> kGenerationShift;
}

bool SharedSegment::take_free(std::uint32_t& index) {
  for (std::uint32_t i = 0; i < blocks(); ++i) {
    const std::uint32_t at = (next_ + i) % blocks();
    std::uint64_t state = header_->state[at].load(std::memory_order_relaxed);
    if ((state & kHolders) != 0) continue;
    const std::uint64_t given = ((state >> kGenerationShift) + 1) << kGenerationShift | 1u;
    // What those that held it read of it comes before what is written to it now.
    if (!header_->state[at].compare_exchange_strong(state, given, std::memory_order_acq_rel)) {
      continue;
    }
    held_[at] = 1;
    ++holds_;
    next_ = (at + 1) % blocks();
    index = at;
    return true;
  }
  return false;
}

bool SharedSegment::hold(std::uint32_t index, std::uint64_t generation) {
  std::uint64_t state = header_->state[index].load(std::memory_order_acquire);
  if (held_[index] == 0) {
    do {
      if ((state >> kGenerationShift) != generation || (state & kHolders) == 0) return false;
    } while (!header_->state[index].compare_exchange_weak(state, state | 1ull << bit_,
                                                          std::memory_order_acq_rel));
  } else if ((state >> kGenerationShift) != generation) {
    return false;
  }
  ++held_[index];
  ++holds_;
  return true;
}

bool SharedSegment::still(std::uint32_t index, std::uint64_t generation) const {
  // Writes, so that the reads of the copy come before it.
  const std::uint64_t state = header_->state[index].fetch_add(0, std::memory_order_acq_rel);
  return (state >> kGenerationShift) == generation && (state & kHolders) != 0;
}

void SharedSegment::let_go(std::uint32_t index) {
  CALLBOARD_CHECK(held_[index] > 0);
  --holds_;
  if (--held_[index] > 0) return;
  header_->state[index].fetch_and(~(1ull << bit_), std::memory_order_acq_rel);
}

bool SharedSegment::unused() const {
  for (std::uint32_t i = 0; i < blocks(); ++i) {
    if ((header_->state[i].load(std::memory_order_acquire) & kHolders) != 0) return false;
  }
  return true;
}

// --- what the dead have left --------------------------------------------------------------------

void SharedSegment::clear_bit(Header& header, std::uint32_t blocks, unsigned bit) {
  for (std::uint32_t i = 0; i < blocks; ++i) {
    if ((header.state[i].load(std::memory_order_relaxed) & 1ull << bit) == 0) continue;
    header.state[i].fetch_and(~(1ull << bit), std::memory_order_acq_rel);
  }
}

void SharedSegment::clear_dead() {
  std::uint64_t holders = 0;
  for (std::uint32_t i = 0; i < blocks(); ++i) {
    holders |= header_->state[i].load(std::memory_order_relaxed);
  }
  for (unsigned bit = kOwner + 1; bit < kHoldersMax; ++bit) {
    if ((holders & 1ull << bit) == 0 || bit == bit_) continue;
    // While it is locked here nobody new can have the bit.
    if (!lock_byte(fd_, bit, F_WRLCK)) continue;
    clear_bit(*header_, blocks(), bit);
    lock_byte(fd_, bit, F_UNLCK);
  }
}

bool SharedSegment::unlinked() const {
  struct stat facts {};
  return ::fstat(fd_, &facts) == 0 && facts.st_nlink == 0;
}

bool SharedSegment::remove_abandoned(const std::string& folder, const std::string& name) {
  struct stat facts {};
  const int fd = good_name(name) ? open_file(folder, name, facts) : -1;
  if (fd < 0) return false;
  bool removed = false;
  if (!lock_byte(fd, kOwner, F_WRLCK)) {  // its owner lives
    ::close(fd);
    return false;
  }
  void* mapped = MAP_FAILED;
  if (static_cast<std::uint64_t>(facts.st_size) >= kHeaderBytes) {
    mapped = ::mmap(nullptr, kHeaderBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (mapped == MAP_FAILED) {
    removed = ::time(nullptr) - facts.st_mtime > kUnfinishedSeconds;
    if (removed) remove(folder, name);
    ::close(fd);
    return removed;
  }
  SharedSegment segment(name, fd, static_cast<Header*>(mapped), kOwner);
  const Header& header = *segment.header_;
  if (header.magic.load(std::memory_order_acquire) != kMagic) {
    removed = ::time(nullptr) - facts.st_mtime > kUnfinishedSeconds;
  } else {
    segment.held_.resize(std::min<std::uint64_t>(header.blocks, kBlocksMax));
    clear_bit(*segment.header_, segment.blocks(), kOwner);
    segment.clear_dead();
    removed = segment.unused();
  }
  if (removed) remove(folder, name);
  segment.held_.clear();
  return removed;
}

void SharedSegment::remove(const std::string& folder, const std::string& name) {
  ::unlink(path_of(folder, name).c_str());
}

}  // namespace callboard
