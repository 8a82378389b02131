// The private directory in which an embedded system keeps its sockets, and how leftovers go.
//
// Its owner holds a lock on the directory itself, which the kernel lets go when the last process
// with it is gone. A directory that nobody holds is a leftover. So that no other start can see one
// before it is locked, it gets its name after that. Thread safety: none.
#pragma once

#include <callboard/error.hpp>

#include <string>

namespace callboard::embedded {

class RuntimeDir {
 public:
  RuntimeDir() = default;
  RuntimeDir(RuntimeDir&& other) noexcept;
  RuntimeDir& operator=(RuntimeDir&& other) noexcept;
  ~RuntimeDir();

  /// Makes and locks a new directory under $XDG_RUNTIME_DIR, $TMPDIR, /dev/shm or /tmp: the first
  /// that takes it and in which a socket's path is short enough. Leftovers of dead owners there are
  /// removed first.
  static Result<RuntimeDir> make();

  const std::string& path() const { return path_; }
  /// The descriptor that holds the lock, to be inherited by the keeper.
  int lock_fd() const { return fd_; }
  /// Lets go without removing: the keeper holds it from now on.
  void release();
  /// Removes the directory and all that is in it.
  void remove() noexcept;

 private:
  std::string path_;
  int fd_ = -1;
};

/// Removes what dead owners left under `base`. Never touches what is locked or not ours.
void remove_leftovers(const std::string& base);

}  // namespace callboard::embedded
