// The ceilings: what ZeroMQ, and ZeroMQ with Redis, do on this machine with no more than a relay.
//
//   bench_relay load ── tcp ── bench_relay relay ── ipc ── bench_relay echo
//                                     └── unix socket ── Redis (durable)
//
// usage: bench_relay relay --front E --back E --batch N [--redis SOCKET]
//        bench_relay echo  --back E --batch N [--number N]
//        bench_relay load  --front E --batch N [options of bench/load/load.hpp]
// Every process takes all that is there, then sends frames of at most N messages. Durable: a
// message goes on once it is committed; an answer goes back at once, and its deletion is in the
// next commit; answers are not written. Shares nothing with Callboard.
#include "bench/load/load.hpp"
#include "bench/relay/commits.hpp"
#include "bench/relay/socket.hpp"

#include <array>
#include <memory>
#include <stdexcept>
#include <utility>

#include <poll.h>

namespace bench {

namespace {

constexpr std::size_t kIdBytes = sizeof(Head);

/// Calls f with each message of a frame.
template <class F>
void each(std::string_view frame, std::size_t message_bytes, F f) {
  for (std::size_t at = 0; at + message_bytes <= frame.size(); at += message_bytes) {
    f(frame.substr(at, message_bytes));
  }
}

/// A peer of a ROUTER and what is to be sent to it.
struct Peer {
  std::string name;
  std::string messages;
};

Peer& peer_at(std::vector<Peer>& peers, std::size_t number) {
  if (number >= peers.size()) peers.resize(number + 1);
  return peers[number];
}

class Relay {
 public:
  Relay(void* context, const Options& options)
      : front_(context, ZMQ_ROUTER, options.need("front"), true),
        back_(context, ZMQ_ROUTER, options.need("back"), true), bytes_(options.payload),
        frame_bytes_(bytes_ * std::stoul(options.need("batch"))),
        echoes_wanted_(std::stoul(options.get("echoes", "1"))) {
    const auto redis = options.get("redis", "");
    if (!redis.empty()) commits_ = std::make_unique<Commits>(redis);
  }

  [[noreturn]] void run() {
    std::array<zmq_pollitem_t, 3> items{};
    items[0] = {front_.handle(), 0, ZMQ_POLLIN, 0};
    items[1] = {back_.handle(), 0, ZMQ_POLLIN, 0};
    int count = 2;
    if (commits_ != nullptr) items[count++] = {nullptr, commits_->descriptor(), ZMQ_POLLIN, 0};
    for (;;) {
      ::zmq_poll(items.data(), count, -1);
      take_results();
      if (echoes_.size() == echoes_wanted_) take_arguments();
      if (commits_ != nullptr) commit();
      for (auto& echo : echoes_) back_.send_all(echo.name, echo.messages, frame_bytes_);
      for (auto& client : clients_) front_.send_all(client.name, client.messages, frame_bytes_);
    }
  }

 private:
  Socket front_, back_;
  std::size_t bytes_, frame_bytes_, echoes_wanted_;
  std::unique_ptr<Commits> commits_;
  std::vector<Peer> clients_, echoes_;
  std::string staged_;  ///< not in a commit yet
  std::string written_;  ///< in the one that is on its way

  void take_arguments() {
    front_.drain([&](std::string_view name, std::string_view frame) {
      each(frame, bytes_, [&](std::string_view message) {
        auto& client = peer_at(clients_, head_of(message).client);
        if (client.name != name) client.name = name;
        if (commits_ == nullptr) return forward(message);
        commits_->add(message.substr(0, kIdBytes), message);
        staged_ += message;
      });
    });
  }
  void take_results() {
    back_.drain([&](std::string_view name, std::string_view frame) {
      if (frame.size() < bytes_) {  // an echo's first words
        echoes_.push_back({std::string(name), {}});
        return;
      }
      each(frame, bytes_, [&](std::string_view message) {
        if (commits_ != nullptr) commits_->remove(message.substr(0, kIdBytes));
        peer_at(clients_, head_of(message).client).messages += message;
      });
    });
  }
  void forward(std::string_view message) {
    echoes_[head_of(message).actor % echoes_.size()].messages += message;
  }
  void commit() {
    if (commits_->finished()) {
      each(written_, bytes_, [&](std::string_view message) { forward(message); });
      written_.clear();
    }
    if (commits_->busy()) return;
    commits_->flush();
    std::swap(staged_, written_);
  }
};

[[noreturn]] int run_echo(const Options& options) {
  void* context = ::zmq_ctx_new();
  const auto frame_bytes = options.payload * std::stoul(options.need("batch"));
  Socket socket(context, ZMQ_DEALER, options.need("back"), false);
  Inspector inspector;
  socket.send({}, "hello");
  std::string messages;
  zmq_pollitem_t item = {socket.handle(), 0, ZMQ_POLLIN, 0};
  for (;;) {
    ::zmq_poll(&item, 1, -1);
    socket.drain([&](std::string_view, std::string_view frame) {
      const auto from = messages.size();
      messages += frame;
      for (auto at = from; at < messages.size(); at += options.payload) {
        inspector.answer(messages.data() + at, options.payload);
      }
    });
    socket.send_all({}, messages, frame_bytes);
  }
}

/// Sends what it may, takes what there is, and sleeps when there is neither.
void fly(Flight& flight, Socket& socket, std::size_t frame_bytes) {
  const auto bytes = flight.options().payload;
  std::string out;
  while (!flight.all_landed()) {
    for (auto count = flight.may_send(); count > 0; --count) out += flight.next();
    socket.send_all({}, out, frame_bytes);
    const bool any = socket.drain([&](std::string_view, std::string_view frame) {
      each(frame, bytes, [&](std::string_view message) { flight.landed(message); });
    });
    if (any || flight.all_landed()) continue;
    // Nothing was there after the last look, so the descriptor tells of what comes.
    pollfd wait = {socket.descriptor(), POLLIN, 0};
    const auto left_ns = std::max<std::int64_t>(flight.due_ns() - now_ns(), 0);
    const timespec timeout = {left_ns / 1'000'000'000, left_ns % 1'000'000'000};
    ::ppoll(&wait, 1, &timeout, nullptr);
  }
}

int run_relay(const Options& options) {
  void* context = ::zmq_ctx_new();
  Relay(context, options).run();
}

int load(const Options& options) {
  return run_load(options, [](Flight& flight, const Measure& measure) {
    const auto& mine = flight.options();
    void* context = ::zmq_ctx_new();
    Socket socket(context, ZMQ_DEALER, mine.need("front"), false);
    const auto frame_bytes = mine.payload * std::stoul(mine.need("batch"));
    measure(flight, [&] { fly(flight, socket, frame_bytes); });
  });
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  return bench::run_part(
      argc, argv, {{"relay", bench::run_relay}, {"echo", bench::run_echo}, {"load", bench::load}});
}
