// What the workers of these tests can run: methods that say where they are, wait, and crash.
//
// What a test wants to know of a call that gets no answer, it reads from a file: a method writes a
// line there the moment it begins.
#pragma once

#include <callboard/callboard.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace app {

class Probe {
 public:
  int pid();
  /// Writes `word` into the file, then sleeps.
  int nap(std::string file, std::string word, int ms);
  /// Writes, and is blamed for the end of its process: "abort", "segv", "exit".
  int crash(std::string file, std::string how);
  std::string echo(std::string text);
  /// Waits until the file has that word, for as long as any sane machine needs. False: in vain.
  bool wait_for(std::string file, std::string word);
  /// A call to the actor of that name from inside this one.
  int pid_of(std::string actor);
  /// The cores that the calling thread may use, as the kernel prints them.
  std::string cores();

  friend consteval auto describe(callboard::Class<Probe> c) {
    return c.name("Probe")
        .method<&Probe::pid>("pid")
        .method<&Probe::nap>("nap")
        .method<&Probe::crash>("crash")
        .method<&Probe::echo>("echo")
        .method<&Probe::wait_for>("wait_for")
        .method<&Probe::pid_of>("pid_of")
        .method<&Probe::cores>("cores");
  }
};

/// Its constructor takes the process down, or throws.
class Fragile {
 public:
  Fragile(std::string file, std::string how);
  int pid();
  friend consteval auto describe(callboard::Class<Fragile> c) {
    return c.name("Fragile").constructor<std::string, std::string>().method<&Fragile::pid>("pid");
  }
};

int task_nap(std::string file, std::string word, int ms);
int task_crash(std::string file, std::string how);
inline constexpr callboard::Task<&task_nap> nap_task{"nap"};
inline constexpr callboard::Task<&task_crash> crash_task{"crash"};

/// Appends a line; lines of several processes do not mix.
void note(const std::string& file, const std::string& line);
/// The lines of a file; none when it is not there.
std::vector<std::string> notes(const std::string& file);

}  // namespace app
