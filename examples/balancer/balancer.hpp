// A load balancer in a few lines: an async actor that passes each request on to the next of several
// others, many at once.
#pragma once

#include "examples/ran.hpp"

#include <callboard/callboard.hpp>

#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

namespace demos {

/// The answer, the number of the backend that gave it, and when it did.
using Answer = std::tuple<std::string, int, Ran>;

/// Does the work, slowly.
class Backend {
 public:
  explicit Backend(int number);
  callboard::Async<Answer> handle(std::string request);

  friend consteval auto describe(callboard::Class<Backend> c) {
    return c.name("demos.Backend").constructor<int>().method<&Backend::handle>("handle");
  }

 private:
  int number_;
  Inside inside_;
};

class Balancer {
 public:
  explicit Balancer(std::vector<callboard::Actor<Backend>> backends);
  callboard::Async<Answer> proxy_request(std::string request);

  friend consteval auto describe(callboard::Class<Balancer> c) {
    return c.name("demos.Balancer")
        .constructor<std::vector<callboard::Actor<Backend>>>()
        .method<&Balancer::proxy_request>("proxy_request");
  }

 private:
  std::vector<callboard::Actor<Backend>> backends_;
  std::size_t next_ = 0;
};

}  // namespace demos
