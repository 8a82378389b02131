// Actors that fetch a file over HTTP: with a blocking socket, and in a coroutine.
#pragma once

#include <callboard/callboard.hpp>

#include <string>

namespace demos {

class Fetcher {
 public:
  /// The body of the answer. Throws std::runtime_error where there is none.
  callboard::Bytes get(std::string url);

  friend consteval auto describe(callboard::Class<Fetcher> c) {
    return c.name("demos.Fetcher").method<&Fetcher::get>("get");
  }
};

class AsyncFetcher {
 public:
  callboard::Async<callboard::Bytes> get(std::string url);

  friend consteval auto describe(callboard::Class<AsyncFetcher> c) {
    return c.name("demos.AsyncFetcher").method<&AsyncFetcher::get>("get");
  }
};

}  // namespace demos
