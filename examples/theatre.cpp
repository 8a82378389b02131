#include "examples/theatre.hpp"

#include "examples/ran.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <vector>

namespace demos {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::seconds kConnectTimeout{20};

/// The first of `places` beside this program that is there; `otherwise` when none is.
std::string beside(const std::vector<std::string>& places, const std::string& otherwise) {
  const fs::path here = fs::path(callboard::this_program()).parent_path();
  for (const auto& place : places) {
    if (fs::exists(here / place)) return (here / place).lexically_normal().string();
  }
  return otherwise;
}

std::string library() { return beside({"libdemos.so", "../lib/callboard/libdemos.so"}, ""); }

std::string callboard_program() {
  if (const char* named = std::getenv("CALLBOARD_BIN")) return named;
  return beside({"callboard", "../cli/callboard", "../../cli/callboard"}, "callboard");
}

std::vector<std::string> redis_cli(const std::string& endpoint) {
  if (endpoint.starts_with("unix://")) return {"redis-cli", "-s", endpoint.substr(7)};
  if (endpoint.starts_with("tcp://")) return {"redis-cli", "-u", "redis://" + endpoint.substr(6)};
  return {"redis-cli"};
}

/// The address under which this machine talks to the broker: there workers can reach it too.
std::string address_towards(const std::string& endpoint) {
  if (!endpoint.starts_with("tcp://")) return "127.0.0.1";
  const auto colon = endpoint.rfind(':');
  boost::asio::io_context io;
  boost::asio::ip::udp::resolver resolver(io);
  boost::asio::ip::udp::socket socket(io, boost::asio::ip::udp::v4());
  socket.connect(*resolver.resolve(boost::asio::ip::udp::v4(), endpoint.substr(6, colon - 6),
                                   endpoint.substr(colon + 1)).begin());  // sends nothing
  return socket.local_endpoint().address().to_string();
}

}  // namespace

Theatre::Theatre(const TheatreOptions& options) : description_("deployment at " + options.broker) {
  std::string broker = options.broker;
  std::string redis = options.redis;
  if (broker.empty()) {
    const auto begin = steady_us();
    callboard::EmbeddedOptions embedded;
    embedded.load = {options.library.empty() ? library() : options.library};
    embedded.workers = options.workers;
    embedded.broker_flags = {"--log-level", "error"};
    embedded.worker_flags = {"--log-level", "error"};
    embedded.callboard_program = callboard_program();
    system_ = std::make_unique<callboard::EmbeddedSystem>(embedded);
    broker = system_->endpoint();
    redis = "unix://" + system_->redis_socket();
    description_ = "a broker, a Redis and " + std::to_string(options.workers) +
                   " worker processes of our own (" + broker + "), ready after " +
                   seconds(static_cast<double>(steady_us() - begin) / 1e6);
  }
  client_ = std::make_unique<callboard::Client>(broker);
  if (!client_->wait_connected(kConnectTimeout)) {
    throw std::runtime_error("no broker answers at " + broker);
  }
  stage_.emplace(Stage{*client_, broker, address_towards(broker), redis_cli(redis),
                       callboard_program()});
}

Theatre::~Theatre() {
  client_.reset();
  close();
}

void Theatre::close() {
  const std::scoped_lock lock(mutex_);
  if (system_) system_->stop();
}

}  // namespace demos
