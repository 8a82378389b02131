// Where and when a call ran, as the actors of several demos report it; and what follows from many.
//
// Inside is safe for any threads; the rest are plain data and pure functions.
#pragma once

#include <callboard/msgpack.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace demos {

/// One call. Times are microseconds of the machine's steady clock.
struct Ran {
  std::string process;  ///< as this_process() names it
  std::int64_t began_us = 0;
  std::int64_t ended_us = 0;
  int at_once = 0;  ///< calls inside the same object when this one began, itself included

  MSGPACK_DEFINE(process, began_us, ended_us, at_once)
};

/// Counts the calls inside one object.
class Inside {
 public:
  Ran enter();
  Ran leave(Ran ran);

 private:
  std::atomic<int> now_{0};
};

/// "4711@box": two containers may have the same process ids.
std::string this_process();
std::int64_t steady_us();
/// Computes until this thread has used so much CPU time.
void burn(int cpu_ms);

/// The most calls that one object counted inside itself.
int most_inside(const std::vector<Ran>& calls);
/// The most calls that ran at one moment, wherever they ran.
int most_at_once(const std::vector<Ran>& calls);
/// How long two calls or more ran at once, in seconds.
double overlap_s(const std::vector<Ran>& calls);
std::set<std::string> processes_of(const std::vector<Ran>& calls);

/// Asks for a process's name until so many different ones have answered: the replicas of a new
/// deployment do not come to life at the same moment.
template <class Ask>
void until_answered_by(std::size_t processes, Ask ask) {
  for (std::set<std::string> seen; seen.size() < processes;) seen.insert(ask());
}

}  // namespace demos
