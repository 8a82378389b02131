#include "embedded/runtime_dir.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace callboard::embedded {

namespace {

constexpr std::string_view kPrefix = "callboard-";
/// A directory has this name until it is locked, so that nobody takes it for a leftover.
constexpr std::string_view kUnlockedPrefix = ".callboard-";
constexpr std::size_t kSuffixBytes = 6;
/// sun_path holds 108 bytes with the final zero; the longest name we put below is "/events.sock".
constexpr std::size_t kPathBytesMax = 90;
/// Longer than anyone takes between making a directory and locking it.
constexpr std::time_t kUnlockedSeconds = 60;

std::vector<std::string> bases() {
  std::vector<std::string> out;
  for (const char* name : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value == '/') out.emplace_back(value);
  }
  out.emplace_back("/dev/shm");  // what lies there never waits for a disk
  out.emplace_back("/tmp");
  return out;
}

void remove_tree(const std::string& path) noexcept {
  std::error_code error;  // what cannot be removed now is removed as a leftover later
  std::filesystem::remove_all(path, error);
}

void remove_if_leftover(const std::string& path, std::time_t older_than) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  struct stat info {};
  const bool ours = ::fstat(fd, &info) == 0 && info.st_uid == ::geteuid();
  const bool young = std::time(nullptr) - info.st_ctime < older_than;
  if (ours && !young && ::flock(fd, LOCK_EX | LOCK_NB) == 0) remove_tree(path);
  ::close(fd);
}

}  // namespace

RuntimeDir::RuntimeDir(RuntimeDir&& other) noexcept
    : path_(std::exchange(other.path_, {})), fd_(std::exchange(other.fd_, -1)) {}

RuntimeDir& RuntimeDir::operator=(RuntimeDir&& other) noexcept {
  if (this == &other) return *this;
  remove();
  path_ = std::exchange(other.path_, {});
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

RuntimeDir::~RuntimeDir() { remove(); }

Result<RuntimeDir> RuntimeDir::make() {
  std::string why = "every path is too long";
  for (const auto& base : bases()) {
    if (base.size() + 1 + kUnlockedPrefix.size() + kSuffixBytes > kPathBytesMax) continue;
    remove_leftovers(base);
    std::string unlocked =
        base + "/" + std::string(kUnlockedPrefix) + std::string(kSuffixBytes, 'X');
    if (::mkdtemp(unlocked.data()) == nullptr) {
      why = base + ": " + std::strerror(errno);
      continue;
    }
    RuntimeDir dir;
    dir.path_ = unlocked;
    dir.fd_ = ::open(unlocked.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const auto suffix = unlocked.substr(unlocked.size() - kSuffixBytes);
    const auto path = base + "/" + std::string(kPrefix) + suffix;
    if (dir.fd_ < 0 || ::flock(dir.fd_, LOCK_EX | LOCK_NB) != 0 ||
        ::renameat2(AT_FDCWD, unlocked.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
      why = path + ": " + std::strerror(errno);
      continue;
    }
    dir.path_ = path;
    return dir;
  }
  return {Errc::invalid_option, "no runtime directory can be made: " + why};
}

void RuntimeDir::release() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  path_.clear();
}

void RuntimeDir::remove() noexcept {
  if (!path_.empty()) remove_tree(path_);
  release();
}

void remove_leftovers(const std::string& base) {
  std::error_code error;
  std::vector<std::pair<std::string, std::time_t>> found;
  std::filesystem::directory_iterator at(base, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const auto name = at->path().filename().string();
    for (const auto prefix : {kPrefix, kUnlockedPrefix}) {
      if (name.starts_with(prefix) && name.size() == prefix.size() + kSuffixBytes) {
        found.emplace_back(at->path().string(), prefix == kPrefix ? 0 : kUnlockedSeconds);
      }
    }
  }
  for (const auto& [path, older_than] : found) remove_if_leftover(path, older_than);
}

}  // namespace callboard::embedded
