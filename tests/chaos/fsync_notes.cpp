// Preloaded into Redis: notes how much of each file was last synced, so that a test can cut files
// back to what would have survived a power cut.
//
// FSYNC_NOTES names a directory. It gets a file for each inode that was synced, named by its
// number, with the size (20 digits) that the file had before its last fsync that succeeded. What is
// written while an fsync runs counts as not synced.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void note(const struct stat& file) {
  const char* directory = std::getenv("FSYNC_NOTES");
  if (directory == nullptr || !S_ISREG(file.st_mode)) return;
  const std::string path = std::string(directory) + "/" + std::to_string(file.st_ino);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  char digits[24];
  std::snprintf(digits, sizeof digits, "%020lld\n", static_cast<long long>(file.st_size));
  [[maybe_unused]] const auto done = pwrite(fd, digits, 21, 0);
  close(fd);
}

int sync_and_note(long number, int fd) {
  struct stat before {};
  const bool known = fstat(fd, &before) == 0;
  const int status = static_cast<int>(syscall(number, fd));
  const int error = errno;
  if (status == 0 && known) note(before);
  errno = error;
  return status;
}

}  // namespace

extern "C" {

int fsync(int fd) { return sync_and_note(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_and_note(SYS_fdatasync, fd); }

}  // extern "C"
