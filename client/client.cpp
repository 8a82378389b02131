#include <callboard/client.hpp>

#include "client/client_core.hpp"
#include "client/schedule.hpp"
#include "common/clock.hpp"

#include <utility>

namespace callboard {

namespace {

ClientOptions options_of(std::string_view endpoints) {
  ClientOptions options;
  while (!endpoints.empty()) {
    const std::size_t comma = endpoints.find(',');
    const std::string_view one = endpoints.substr(0, comma);
    if (!one.empty()) options.endpoints.emplace_back(one);
    endpoints = comma == std::string_view::npos ? "" : endpoints.substr(comma + 1);
  }
  return options;
}

}  // namespace

Client::Client(std::string_view endpoints) : Client(options_of(endpoints)) {}
Client::Client(ClientOptions options) : core_(client::Core::connect(std::move(options))) {}
Client::Client(std::shared_ptr<client::Core> core) : core_(std::move(core)) {}

Client::~Client() {
  if (core_) core_->close();
}

Client::Client(Client&& other) noexcept = default;

Client& Client::operator=(Client&& other) noexcept {
  if (this == &other) return *this;
  if (core_) core_->close();
  core_ = std::move(other.core_);
  return *this;
}

// --- actors -------------------------------------------------------------------------------------

AnyActor Client::get_actor(std::string_view name) { return AnyActor(open(name, "", {})); }
AnyActor Client::get_actor(ActorId id) { return AnyActor(open(id, "", {})); }

AnyActor Client::create_encoded(std::string_view class_name, ActorOptions options,
                                std::string arguments) {
  return AnyActor(core_->create(class_name, options, std::move(arguments), {}));
}

detail::QueuePtr Client::create(std::string_view class_name, ActorOptions options,
                                std::string args, std::vector<std::string> methods) {
  return core_->create(class_name, options, std::move(args), std::move(methods));
}

detail::QueuePtr Client::open(std::string_view name, std::string_view class_name,
                              std::vector<std::string> methods) {
  return core_->open({wire::TargetKind::name, {}, std::string(name)}, class_name,
                     std::move(methods));
}

detail::QueuePtr Client::open(ActorId id, std::string_view class_name,
                              std::vector<std::string> methods) {
  return core_->open({wire::TargetKind::actor, id, {}}, class_name, std::move(methods));
}

// --- tasks --------------------------------------------------------------------------------------

detail::QueuePtr Client::task_queue(std::string_view name) { return core_->task(name); }

Future<Encoded> Client::call_encoded(std::string_view task, std::string arguments,
                                     const CallOptions& options) {
  return Future<Encoded>(
      detail::submit(core_->task(task), 0, detail::prepare(options), arguments));
}

// --- the rest -----------------------------------------------------------------------------------

CancelAnswer Client::cancel(CallId call, bool force) { return cancel_async(call, force).get(); }

Future<CancelAnswer> Client::cancel_async(CallId call, bool force) {
  return Future<CancelAnswer>(core_->cancel(call, force));
}

void Client::remove_schedule(std::string_view name) {
  client::change_schedule(*core_, "schedule.rm", name);
}
void Client::pause_schedule(std::string_view name) {
  client::change_schedule(*core_, "schedule.pause", name);
}
void Client::resume_schedule(std::string_view name) {
  client::change_schedule(*core_, "schedule.resume", name);
}

Future<Encoded> Client::admin(std::string_view verb, Encoded info) {
  return Future<Encoded>(core_->admin(verb, std::move(info.bytes)));
}

bool Client::connected() const { return core_->connected(); }

bool Client::wait_connected(std::chrono::nanoseconds timeout) const {
  return core_->wait_connected(steady_us_after(
      std::chrono::duration_cast<std::chrono::microseconds>(timeout).count()));
}

std::optional<ErrorInfo> Client::error() const { return core_->error(); }

std::uint64_t Client::unanswered() const { return core_->unanswered(); }

void Client::close() { core_->close(); }

}  // namespace callboard
