#include "examples/balancer/balancer.hpp"

#include "examples/nap.hpp"

#include <utility>

namespace demos {

using namespace std::chrono_literals;

Backend::Backend(int number) : number_(number) {}

callboard::Async<Answer> Backend::handle(std::string request) {
  const Ran ran = inside_.enter();
  co_await nap(100ms);
  co_return Answer("answer to " + request, number_, inside_.leave(ran));
}

Balancer::Balancer(std::vector<callboard::Actor<Backend>> backends)
    : backends_(std::move(backends)) {}

callboard::Async<Answer> Balancer::proxy_request(std::string request) {
  const auto& backend = backends_[next_++ % backends_.size()];
  co_return co_await backend.call<&Backend::handle>(std::move(request));
}

}  // namespace demos
