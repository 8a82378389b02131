#include "cli/relay.hpp"

#include "cli/context.hpp"
#include "cli/cpu.hpp"
#include "cli/exit_code.hpp"
#include "cli/latency.hpp"
#include "common/clock.hpp"
#include "embedded/process.hpp"
#include "embedded/programs.hpp"
#include "embedded/runtime_dir.hpp"

#include <callboard/embedded.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <zmq.hpp>

namespace callboard::cli {

namespace {

constexpr std::size_t kNumberBytes = sizeof(std::uint64_t);
constexpr std::chrono::seconds kStuckAfter{20};

void prepare(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
}

/// The messages of a frame or of many, to be sent on in frames of at most `batch`.
class Batcher {
 public:
  Batcher(std::uint64_t message_bytes, std::uint64_t batch) : frame_bytes_(message_bytes * batch) {}

  void add(std::string_view bytes) { bytes_.append(bytes); }
  bool empty() const { return bytes_.empty(); }

  template <class Send>
  void send(Send send) {
    for (std::size_t at = 0; at < bytes_.size(); at += frame_bytes_) {
      send(std::string_view(bytes_).substr(at, frame_bytes_));
    }
    bytes_.clear();
  }

 private:
  std::size_t frame_bytes_;
  std::string bytes_;
};

/// Takes every frame that is there. A ROUTER's frames begin with who sent them, which is kept.
void drain(zmq::socket_t& socket, std::string* sender, Batcher& into) {
  zmq::message_t part;
  while (socket.recv(part, zmq::recv_flags::dontwait)) {
    if (sender != nullptr) {
      *sender = part.to_string();
      if (!socket.recv(part)) return;
    }
    into.add(part.to_string_view());
  }
}

void send_frame(zmq::socket_t& socket, const std::string& receiver, std::string_view frame) {
  if (!receiver.empty()) socket.send(zmq::buffer(receiver), zmq::send_flags::sndmore);
  socket.send(zmq::buffer(frame), zmq::send_flags::none);
}

void relay_for_ever(zmq::context_t& context, const std::string& front_endpoint,
                    const std::string& back_endpoint, std::uint64_t message_bytes,
                    std::uint64_t batch) {
  zmq::socket_t front(context, zmq::socket_type::router);
  zmq::socket_t back(context, zmq::socket_type::router);
  prepare(front);
  prepare(back);
  front.bind(front_endpoint);
  back.bind(back_endpoint);
  std::string client;
  std::string echo;
  Batcher hello(message_bytes, 1);
  while (echo.empty()) drain(back, &echo, hello);  // the echo speaks first, so that it is known
  Batcher forth(message_bytes, batch);
  Batcher back_again(message_bytes, batch);
  std::vector<zmq::pollitem_t> items = {{front.handle(), 0, ZMQ_POLLIN, 0},
                                        {back.handle(), 0, ZMQ_POLLIN, 0}};
  for (;;) {
    zmq::poll(items, std::chrono::milliseconds(-1));
    drain(front, &client, forth);
    drain(back, &echo, back_again);
    forth.send([&](std::string_view frame) { send_frame(back, echo, frame); });
    back_again.send([&](std::string_view frame) { send_frame(front, client, frame); });
  }
}

void echo_for_ever(zmq::context_t& context, const std::string& endpoint,
                   std::uint64_t message_bytes, std::uint64_t batch) {
  zmq::socket_t socket(context, zmq::socket_type::dealer);
  prepare(socket);
  socket.connect(endpoint);
  send_frame(socket, {}, "hello");
  Batcher messages(message_bytes, batch);
  std::vector<zmq::pollitem_t> items = {{socket.handle(), 0, ZMQ_POLLIN, 0}};
  for (;;) {
    zmq::poll(items, std::chrono::milliseconds(-1));
    drain(socket, nullptr, messages);
    messages.send([&](std::string_view frame) { send_frame(socket, {}, frame); });
  }
}

/// A process of the relay, killed when this goes.
class Part {
 public:
  Part(const std::string& part, const std::string& front, const std::string& back,
       std::uint64_t message_bytes, std::uint64_t batch) {
    auto pid = embedded::spawn_child(
        {.command = {this_program(), "relay-part", "--part", part, "--front", front, "--back", back,
                     "--message-bytes", std::to_string(message_bytes), "--batch",
                     std::to_string(batch)},
         .environment = {},
         .descriptors = {}});
    if (!pid) throw Failure(ExitCode::internal, "the relay cannot be started: " + pid.text());
    pid_ = *pid;
  }
  ~Part() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  double cpu_us() const { return cpu_us_of(pid_).value_or(0); }

 private:
  pid_t pid_ = 0;
};

/// Waits for a message. Throws Failure (interrupted) on Ctrl-C.
void wait_for_some(std::vector<zmq::pollitem_t>& items) {
  try {
    if (zmq::poll(items, kStuckAfter) == 0) {
      throw Failure(ExitCode::internal, "the relay got stuck");
    }
  } catch (const zmq::error_t& error) {
    if (error.num() != EINTR) throw;
  }
  throw_if_interrupted();
}

/// Keeps `window` messages on their way until `calls` have come back.
void measure(zmq::socket_t& socket, const RelayOptions& options, Latencies& latencies) {
  const auto message_bytes = kNumberBytes + options.payload;
  std::vector<std::int64_t> sent_ns(options.calls);
  std::string message(message_bytes, 'x');
  std::uint64_t next = 0;
  std::uint64_t done = 0;
  Batcher out(message_bytes, options.batch);
  Batcher in(message_bytes, 1);
  std::vector<zmq::pollitem_t> items = {{socket.handle(), 0, ZMQ_POLLIN, 0}};
  while (done < options.calls) {
    const auto now_ns = latency_clock_ns();
    for (; next < options.calls && next - done < options.window; ++next) {
      std::memcpy(message.data(), &next, kNumberBytes);
      sent_ns[next] = now_ns;
      out.add(message);
    }
    out.send([&](std::string_view frame) { send_frame(socket, {}, frame); });
    wait_for_some(items);
    drain(socket, nullptr, in);
    const auto then_ns = latency_clock_ns();
    in.send([&](std::string_view returned) {
      std::uint64_t number = 0;
      std::memcpy(&number, returned.data(), kNumberBytes);
      latencies.add(then_ns - sent_ns.at(number));
      ++done;
    });
  }
}

}  // namespace

RelayFigures run_relay(const RelayOptions& options) {
  auto dir = embedded::RuntimeDir::make();
  auto port = embedded::find_free_port();
  if (!dir) throw Failure(ExitCode::internal, dir.text());
  if (!port) throw Failure(ExitCode::internal, port.text());
  const auto message_bytes = kNumberBytes + options.payload;
  const auto front = "tcp://127.0.0.1:" + std::to_string(*port);
  const auto back = "ipc://" + dir->path() + "/relay.sock";
  const Part relay("relay", front, back, message_bytes, options.batch);
  const Part echo("echo", front, back, message_bytes, options.batch);
  zmq::context_t context(1);
  zmq::socket_t socket(context, zmq::socket_type::dealer);
  prepare(socket);
  socket.connect(front);
  Latencies warm_up(1);
  RelayOptions first = options;
  first.calls = std::min<std::uint64_t>(options.calls, 2 * options.window + 100);
  measure(socket, first, warm_up);

  Latencies latencies(options.calls);
  const auto self_before = cpu_us_of(::getpid()).value_or(0);
  const auto relay_before = relay.cpu_us();
  const auto echo_before = echo.cpu_us();
  const auto began_us = clock_now().mono_us;
  measure(socket, options, latencies);
  const auto took_s = static_cast<double>(clock_now().mono_us - began_us) / 1e6;
  const auto calls = static_cast<double>(options.calls);
  RelayFigures figures;
  figures.calls_per_s = calls / took_s;
  figures.p50_us = latencies.percentile_us(50);
  figures.p99_us = latencies.percentile_us(99);
  figures.client_cpu_us_per_call = (cpu_us_of(::getpid()).value_or(0) - self_before) / calls;
  figures.relay_cpu_us_per_call = (relay.cpu_us() - relay_before) / calls;
  figures.echo_cpu_us_per_call = (echo.cpu_us() - echo_before) / calls;
  return figures;
}

int run_relay_part(const std::string& part, const std::string& front, const std::string& back,
                   std::uint64_t message_bytes, std::uint64_t batch) {
  try {
    zmq::context_t context(1);
    if (part == "relay")
      relay_for_ever(context, front, back, message_bytes, batch);
    else
      echo_for_ever(context, back, message_bytes, batch);
  } catch (const zmq::error_t& error) {
    throw Failure(ExitCode::internal, std::string("relay: ") + error.what());
  }
  return 0;
}

}  // namespace callboard::cli
