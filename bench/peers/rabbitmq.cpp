// RabbitMQ for `bench/run`: persistent messages to a durable queue, confirmed by the server; nobody
// runs anything.
//
// usage: bench_rabbitmq --port N [load options]
#include "bench/load/load.hpp"

#include <stdexcept>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

namespace bench {

namespace {

constexpr amqp_channel_t kChannel = 1;
constexpr const char* kQueue = "bench";
constexpr std::uint8_t kPersistent = 2;

void check(const amqp_rpc_reply_t& reply, const char* what) {
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
    throw std::runtime_error(std::string(what) + " failed");
  }
}

amqp_connection_state_t connect(const Options& options) {
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t* socket = amqp_tcp_socket_new(connection);
  if (socket == nullptr ||
      amqp_socket_open(socket, "127.0.0.1", std::stoi(options.need("port"))) != AMQP_STATUS_OK) {
    throw std::runtime_error("nobody listens");
  }
  check(amqp_login(connection, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, "guest",
                   "guest"),
        "login");
  amqp_channel_open(connection, kChannel);
  check(amqp_get_rpc_reply(connection), "channel");
  amqp_queue_declare(connection, kChannel, amqp_cstring_bytes(kQueue), 0, 1, 0, 0,
                     amqp_empty_table);
  check(amqp_get_rpc_reply(connection), "queue");
  amqp_confirm_select(connection, kChannel);
  check(amqp_get_rpc_reply(connection), "confirm");
  return connection;
}

/// Which messages are confirmed. Confirms name one message or all up to one, in any order; the
/// first message of a channel is number 1 there and 0 here.
class Confirms {
 public:
  explicit Confirms(Flight& flight) : flight_(flight) {}

  void confirm(std::uint64_t tag, bool all_before) {
    if (confirmed_.size() < tag) confirmed_.resize(tag);
    for (auto number = all_before ? first_ : tag - 1; number < tag; ++number) {
      if (!confirmed_[number] || !all_before) flight_.landed(number, true);
      confirmed_[number] = true;
    }
    while (first_ < confirmed_.size() && confirmed_[first_]) ++first_;
  }

 private:
  Flight& flight_;
  std::vector<bool> confirmed_;
  std::uint64_t first_ = 0;  ///< that is not confirmed
};

/// Takes what the server has confirmed. Blocks until there is something.
void take_confirms(amqp_connection_state_t connection, Confirms& confirms) {
  do {
    amqp_frame_t frame;
    if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) {
      throw std::runtime_error("the server is gone");
    }
    if (frame.frame_type != AMQP_FRAME_METHOD) continue;
    if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) throw std::runtime_error("refused");
    const auto* ack = static_cast<amqp_basic_ack_t*>(frame.payload.method.decoded);
    confirms.confirm(ack->delivery_tag, ack->multiple != 0);
  } while (amqp_frames_enqueued(connection) != 0 || amqp_data_in_buffer(connection) != 0);
  amqp_maybe_release_buffers(connection);
}

void load(Flight& flight, const Measure& measure) {
  amqp_connection_state_t connection = connect(flight.options());
  amqp_basic_properties_t properties{};
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
  properties.delivery_mode = kPersistent;
  Confirms confirms(flight);
  measure(flight, [&] {
    while (!flight.all_landed()) {
      for (auto count = flight.may_send(); count > 0; --count) {
        const auto& message = flight.next();
        const amqp_bytes_t body{message.size(), const_cast<char*>(message.data())};
        if (amqp_basic_publish(connection, kChannel, amqp_empty_bytes, amqp_cstring_bytes(kQueue),
                               0, 0, &properties, body) != AMQP_STATUS_OK) {
          throw std::runtime_error("publish failed");
        }
      }
      take_confirms(connection, confirms);
    }
  });
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto load = [](const bench::Options& options) {
    return bench::run_load(options, bench::load);
  };
  return bench::run_part(argc, argv, {{"", load}});
}
