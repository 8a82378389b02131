// An async actor that answers visitors while heavy work goes out to other workers as tasks.
#pragma once

#include "examples/ran.hpp"

#include <callboard/callboard.hpp>

#include <string>
#include <vector>

namespace demos {

/// Heavy work: computes until it has used so much CPU time. Any worker may run it.
Ran crunch(int cpu_ms);
inline constexpr callboard::Task<&crunch> crunch_task{"demos.crunch"};

class Office {
 public:
  /// A visitor's question; the answer is the process that the office is in.
  std::string ask();

  /// Sends the work out and waits for it; meanwhile the loop is free.
  callboard::Async<std::vector<Ran>> send_out(int pieces, int cpu_ms);
  /// Does the same work in the event loop, which stands still meanwhile: the mistake to avoid.
  std::vector<Ran> do_here(int pieces, int cpu_ms);

  /// Looks every few milliseconds how late the loop is, until stop_watch(). The longest that the
  /// loop stood still, in milliseconds.
  callboard::Async<double> watch();
  void stop_watch();

  friend consteval auto describe(callboard::Class<Office> c) {
    return c.name("demos.Office")
        .method<&Office::ask>("ask")
        .method<&Office::send_out>("send_out")
        .method<&Office::do_here>("do_here")
        .method<&Office::watch>("watch")
        .method<&Office::stop_watch>("stop_watch");
  }

 private:
  bool watching_ = false;
};

}  // namespace demos
