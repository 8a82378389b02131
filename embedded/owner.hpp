// The owner's end of the connection to its keeper. Thread safety: none.
#pragma once

#include "embedded/plan.hpp"

#include <callboard/error.hpp>

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace callboard::embedded {

class Owner {
 public:
  Owner() = default;
  Owner(Owner&& other) noexcept;
  Owner& operator=(Owner&&) = delete;
  /// Closes the connection, on which the keeper ends everything by itself.
  ~Owner();

  /// Runs `callboard keep` and gives it the plan and the lock of the runtime directory.
  static Result<Owner> start_keeper(const std::string& callboard, const Plan& plan, int lock_fd);

  /// What the keeper has told, waiting up to `timeout` for the first report.
  std::vector<Report> receive(std::chrono::milliseconds timeout);
  /// False once the keeper has closed the connection.
  bool connected() const { return fd_ >= 0; }
  pid_t keeper() const { return keeper_; }

  /// Asks the keeper to end everything and waits for it; after `timeout` it is killed, and its
  /// children with it.
  void stop(std::chrono::milliseconds timeout) noexcept;

 private:
  void close() noexcept;

  int fd_ = -1;
  pid_t keeper_ = 0;
};

}  // namespace callboard::embedded
