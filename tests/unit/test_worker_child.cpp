// The last word of a worker process's child, to a broker that is a bare socket.
#include "common/messages.hpp"
#include "worker/child.hpp"
#include "worker/recorder.hpp"

#include <callboard/registry.hpp>

#include <gtest/gtest.h>
#include <zmq.h>

#include <array>
#include <future>
#include <optional>
#include <string>

namespace callboard::worker {
namespace {

/// Welcomes whoever says hello, and reads on.
class BareBroker {
 public:
  BareBroker() : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_ROUTER)) {
    const int timeout_ms = 10'000;
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    EXPECT_EQ(zmq_bind(socket_, "tcp://127.0.0.1:*"), 0);
  }
  ~BareBroker() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  BareBroker(const BareBroker&) = delete;
  BareBroker& operator=(const BareBroker&) = delete;

  std::string endpoint() const {
    std::array<char, 128> text{};
    std::size_t size = text.size();
    zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, text.data(), &size);
    return text.data();
  }
  /// Reads until the first hello.
  void welcome() {
    wire::Hello hello;
    ASSERT_TRUE(await(wire::Type::hello, hello));
    wire::Frame frame;
    wire::FrameWriter out(frame, 1);
    wire::Welcome welcome;
    welcome.epoch = welcome.run = 1;
    wire::write(out, welcome);
    zmq_send(socket_, peer_.data(), peer_.size(), ZMQ_SNDMORE);
    zmq_send(socket_, frame.head.data(), frame.head.size(), 0);
  }
  /// Reads until a goodbye, and gives its code; nothing when none comes.
  std::optional<Errc> goodbye() {
    wire::Goodbye last;
    if (!await(wire::Type::goodbye, last)) return {};
    return last.code;
  }

 private:
  template <class Message>
  bool await(wire::Type wanted, Message& message) {
    std::string frame;
    while (receive(peer_) && receive(frame)) {
      wire::FrameReader in(wire::FrameView{frame, {}});
      std::uint64_t version = 0;
      std::uint64_t epoch = 0;
      if (!in.header(version, epoch)) continue;
      std::uint64_t type = 0;
      std::uint32_t fields = 0;
      while (!in.at_end() && in.message(type, fields)) {
        if (static_cast<wire::Type>(type) == wanted) return read(in, fields, message);
        in.skip_fields(fields);
      }
    }
    return false;
  }
  bool receive(std::string& part) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    const bool came = zmq_msg_recv(&message, socket_, 0) >= 0;
    if (came) part.assign(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    zmq_msg_close(&message);
    return came;
  }

  void* context_;
  void* socket_;
  std::string peer_;
};

class WorkerChild : public ::testing::Test {
 protected:
  WorkerChild() : child_(options(), registry_, recorder_, events()) {
    child_.start();
    broker_.welcome();
    welcomed_.get_future().wait();
  }
  ChildOptions options() const {
    ChildOptions options;
    options.brokers = {broker_.endpoint()};
    options.name = "w";
    options.instance = 1;
    return options;
  }
  ChildEvents events() {
    return {.on_welcome = [this] { welcomed_.set_value(); },
            .on_drained = [this] { drained_.set_value(); }};
  }

  BareBroker broker_;
  std::promise<void> welcomed_;
  std::promise<void> drained_;
  Registry registry_;
  Recorder recorder_;
  Child child_;
};

TEST_F(WorkerChild, OneThatHasDrainedSaysSoInItsGoodbye) {
  child_.drain();
  drained_.get_future().wait();
  EXPECT_TRUE(child_.close(1000));
  EXPECT_EQ(broker_.goodbye(), Errc::stopping) << "what crosses it has not begun";
}

TEST_F(WorkerChild, OneThatHasNotDrainedPromisesNothing) {
  EXPECT_TRUE(child_.close(1000));
  EXPECT_EQ(broker_.goodbye(), Errc::ok);
}

}  // namespace
}  // namespace callboard::worker
