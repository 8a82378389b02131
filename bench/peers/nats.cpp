// NATS for `bench/run`: request and reply, and publishing to JetStream.
//
// usage: bench_nats echo --url URL                      answers what comes to "bench.echo"
//        bench_nats request --url URL [load options]    round trips
//        bench_nats publish --url URL [load options]    acknowledged publishes to a stream on file;
//                                                       nobody runs anything
#include "bench/load/load.hpp"

#include <cstdio>
#include <stdexcept>

#include <nats/nats.h>

namespace bench {

namespace {

constexpr const char* kSubject = "bench.echo";
constexpr const char* kStream = "BENCH";
constexpr const char* kStreamSubject = "bench.stream";

void check(natsStatus status, const char* what) {
  if (status != NATS_OK) {
    throw std::runtime_error(std::string(what) + ": " + natsStatus_GetText(status));
  }
}

std::string_view data_of(natsMsg* message) {
  return {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))};
}

natsConnection* connect(const Options& options) {
  natsConnection* connection = nullptr;
  check(natsConnection_ConnectTo(&connection, options.need("url").c_str()), "connect");
  return connection;
}

void on_request(natsConnection* connection, natsSubscription*, natsMsg* message, void* inspector) {
  std::string bytes(data_of(message));
  static_cast<Inspector*>(inspector)->answer(bytes.data(), bytes.size());
  natsConnection_Publish(connection, natsMsg_GetReply(message), bytes.data(),
                         static_cast<int>(bytes.size()));
  natsMsg_Destroy(message);
}

void on_reply(natsConnection*, natsSubscription*, natsMsg* message, void* flight) {
  static_cast<Flight*>(flight)->landed(data_of(message));
  natsMsg_Destroy(message);
}

int echo(const Options& options) {
  natsConnection* connection = connect(options);
  natsSubscription* subscription = nullptr;
  Inspector inspector;
  check(natsConnection_Subscribe(&subscription, connection, kSubject, on_request, &inspector),
        "subscribe");
  check(natsConnection_Flush(connection), "flush");
  std::puts("ready");
  std::fflush(stdout);
  for (;;) nats_Sleep(1000);
}

void request(Flight& flight, const Measure& measure) {
  natsConnection* connection = connect(flight.options());
  natsSubscription* subscription = nullptr;
  const std::string inbox = "bench.inbox." + std::to_string(flight.client());
  check(natsConnection_Subscribe(&subscription, connection, inbox.c_str(), on_reply, &flight),
        "subscribe");
  natsSubscription_SetPendingLimits(subscription, -1, -1);
  measure(flight, [&] {
    while (!flight.all_landed()) {
      for (auto count = flight.may_send(); count > 0; --count) {
        const auto& message = flight.next();
        check(natsConnection_PublishRequest(connection, kSubject, inbox.c_str(), message.data(),
                                            static_cast<int>(message.size())),
              "publish");
      }
      flight.wait();
    }
  });
}

void on_acknowledged(jsCtx*, natsMsg* message, jsPubAck* ack, jsPubAckErr*, void* flight) {
  const auto argument = data_of(message);
  static_cast<Flight*>(flight)->landed(head_of(argument).number, ack != nullptr);
  natsMsg_Destroy(message);
}

void make_stream(natsConnection* connection) {
  jsCtx* stream = nullptr;
  check(natsConnection_JetStream(&stream, connection, nullptr), "JetStream");
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const char* subjects[] = {kStreamSubject};
  config.Name = kStream;
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  check(js_AddStream(nullptr, stream, &config, nullptr, nullptr), "stream");
  jsCtx_Destroy(stream);
}

void publish(Flight& flight, const Measure& measure) {
  natsConnection* connection = connect(flight.options());
  make_stream(connection);
  jsOptions options;
  jsOptions_Init(&options);
  // The Flight bounds what is on its way; the library counts an answer only after it told of it.
  options.PublishAsync.MaxPending = static_cast<int64_t>(2 * flight.options().window);
  options.PublishAsync.AckHandler = on_acknowledged;
  options.PublishAsync.AckHandlerClosure = &flight;
  jsCtx* stream = nullptr;
  check(natsConnection_JetStream(&stream, connection, &options), "JetStream");
  measure(flight, [&] {
    while (!flight.all_landed()) {
      for (auto count = flight.may_send(); count > 0; --count) {
        const auto& message = flight.next();
        check(js_PublishAsync(stream, kStreamSubject, message.data(),
                              static_cast<int>(message.size()), nullptr),
              "publish");
      }
      flight.wait();
    }
  });
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto load_with = [](bench::Client client) {
    return [client](const bench::Options& options) { return bench::run_load(options, client); };
  };
  return bench::run_part(argc, argv,
                         {{"echo", bench::echo},
                          {"request", load_with(bench::request)},
                          {"publish", load_with(bench::publish)}});
}
