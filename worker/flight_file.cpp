#include "worker/flight_file.hpp"

#include "worker/flight_page.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace callboard::worker {

namespace {

constexpr std::string_view kSuffix = ".flight";

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

template <std::size_t n>
void copy_text(char (&to)[n], std::string_view text) {
  const std::size_t length = std::min(text.size(), n - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

/// A text of a page that somebody else wrote: up to the first NUL, or all of it.
template <std::size_t n>
std::string text_of(const char (&from)[n]) {
  return {from, ::strnlen(from, n)};
}

/// Reads exactly that many bytes; false when the file has fewer.
bool read_all(int fd, void* to, std::size_t bytes, std::size_t offset) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    offset += static_cast<std::size_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

/// The page without its slots.
constexpr std::size_t kHeadBytes = offsetof(FlightPage, slot);

/// A page as it lies in the file, on the heap: it is half a megabyte.
std::unique_ptr<FlightPage> read_page(int fd, std::size_t bytes) {
  auto page = std::make_unique<FlightPage>();
  if (!read_all(fd, page.get(), bytes, 0)) return nullptr;
  if (page->magic != kFlightMagic || page->slots != limits::kRecorderSlots) return nullptr;
  return page;
}

}  // namespace

FlightFile::~FlightFile() {
  if (fd_ >= 0) ::close(fd_);
}

FlightFile::FlightFile(FlightFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

FlightFile& FlightFile::operator=(FlightFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

FlightFile FlightFile::create(const std::string& directory, const FlightOwner& owner) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "/%016llx",
                static_cast<unsigned long long>(owner.instance));
  const std::string path = directory + name.data() + std::string(kSuffix);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) fail("cannot make " + path);
  FlightFile file(fd, path);
  // Somebody who looks for orphans may hold it for a moment, and finds that it says nothing yet.
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) fail("cannot lock " + path);
  }
  if (::ftruncate(fd, sizeof(FlightPage)) != 0) fail("cannot size " + path);
  auto page = std::make_unique<FlightPage>();
  page->magic = kFlightMagic;
  page->slots = limits::kRecorderSlots;
  page->instance = owner.instance;
  copy_text(page->worker, owner.worker);
  copy_text(page->supervisor, owner.supervisor);
  copy_text(page->broker, owner.broker);
  if (::pwrite(fd, page.get(), kHeadBytes, 0) != static_cast<ssize_t>(kHeadBytes)) {
    fail("cannot write " + path);
  }
  return file;
}

Result<FlightReport> FlightFile::read() const {
  const auto page = read_page(fd_, sizeof(FlightPage));
  if (!page) return {Errc::internal, path_ + " is not a flight recorder's page"};
  FlightReport report;
  report.owner = {text_of(page->worker), text_of(page->supervisor), text_of(page->broker),
                  page->instance};
  report.pid = page->pid;
  report.signal = static_cast<int>(page->blamed_signal.load() & 0x7f);
  report.blamed = {SessionId{page->blamed_session}, page->blamed_seq};
  for (const FlightSlot& slot : page->slot) {
    const auto state = static_cast<SlotState>(slot.state.load(std::memory_order_relaxed));
    if (state != SlotState::begun && state != SlotState::ended) continue;
    FoundCall& found = report.calls.emplace_back();
    found.call.call = {SessionId{slot.call_session}, slot.call_seq};
    found.call.attempt = slot.attempt;
    found.call.actor = {SessionId{slot.actor_session}, slot.actor_seq};
    found.call.incarnation = slot.incarnation;
    found.call.lease = slot.lease;
    found.call.began_us = slot.began_us.load(std::memory_order_relaxed);
    found.ended = state == SlotState::ended;
  }
  return report;
}

void FlightFile::remove() {
  if (fd_ < 0) return;
  ::unlink(path_.c_str());
  ::close(std::exchange(fd_, -1));
}

std::vector<FlightFile> orphans(const std::string& directory, std::string_view broker,
                                std::int64_t seconds_max) {
  std::vector<FlightFile> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), &::closedir);
  if (!listing) return found;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (!std::string_view(entry->d_name).ends_with(kSuffix)) continue;
    const std::string path = directory + "/" + entry->d_name;
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    FlightFile file(fd, path);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) continue;  // its child or its supervisor lives
    struct stat status {};
    if (::fstat(fd, &status) != 0 || status.st_nlink == 0) continue;  // somebody was faster
    const auto page = read_page(fd, kHeadBytes);
    if (page && text_of(page->broker) == broker.substr(0, kFlightTextBytes - 1)) {
      found.push_back(std::move(file));
    } else if (::time(nullptr) - status.st_mtim.tv_sec >= seconds_max) {
      file.remove();
    }
  }
  return found;
}

std::string runtime_directory(const std::string& wanted) {
  std::string path = wanted;
  if (const char* set = std::getenv("CALLBOARD_RUNTIME_DIR"); path.empty() && set) path = set;
  if (path.empty()) {
    const bool memory = ::access("/dev/shm", W_OK | X_OK) == 0;
    path = std::string(memory ? "/dev/shm" : "/tmp") + "/callboard-" + std::to_string(::getuid());
  }
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("cannot make " + path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) fail("cannot look at " + path);
  if (!S_ISDIR(status.st_mode)) throw std::runtime_error(path + " is not a directory");
  if (status.st_uid != ::getuid()) {
    throw std::runtime_error(path + " belongs to another user");
  }
  return path;
}

}  // namespace callboard::worker
