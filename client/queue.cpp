#include "client/queue.hpp"

#include "client/client_core.hpp"
#include "client/raise.hpp"
#include "common/limits.hpp"

#include <chrono>
#include <thread>
#include <utility>

namespace callboard::client {

namespace {

constexpr auto kIdPause = std::chrono::microseconds(20);

}  // namespace

Queue::Queue(std::shared_ptr<Core> core, std::uint32_t slot, std::string class_name,
             std::string name, const std::vector<std::string>& methods, bool id_comes)
    : core_(std::move(core)),
      slot_(slot),
      id_comes_(id_comes),
      opened_(make_state(core_, false)),
      class_name_(std::move(class_name)),
      name_(std::move(name)) {
  for (const std::string& method : methods) {
    methods_.emplace(method, static_cast<std::uint32_t>(methods_.size()));
  }
}

Queue::~Queue() {
  if (!opened_->ready()) {
    // Nobody will answer it any more: it is told by its handle.
    opened_->finish_error(Errc::disconnected, "the handle was let go of");
    opened_->wake();
    opened_->run_followers();
  }
  core_->close_queue(slot_);
}

std::uint32_t Queue::method_number(std::string_view method) {
  const std::lock_guard lock(mutex_);
  const auto found = methods_.find(method);
  if (found != methods_.end()) return found->second;
  if (method.empty() || method.size() > limits::kNameBytesMax) {
    raise(Errc::unknown_method, "not a method's name: '" + std::string(method) + "'");
  }
  if (methods_.size() >= limits::kMethodsMax) {
    raise(Errc::too_large, "too many methods for one handle");
  }
  const auto number = static_cast<std::uint32_t>(methods_.size());
  methods_.emplace(std::string(method), number);
  // Under the lock: another thread must not call it before the broker can know its number.
  core_->add_method(*this, std::string(method));
  return number;
}

std::string Queue::class_name() const {
  const std::lock_guard lock(mutex_);
  return class_name_;
}

std::string Queue::name() const {
  const std::lock_guard lock(mutex_);
  return name_;
}

ActorId Queue::id_now() const {
  const std::lock_guard lock(mutex_);
  return id_;
}

ActorId Queue::id() const {
  ActorId id = id_now();
  if (id) return id;
  if (!id_comes_ || core_->in_own_thread()) {
    opened_->wait_as_call(INT64_MAX);
    return id_now();
  }
  while (!(id = id_now()) && !opened_->ready()) std::this_thread::sleep_for(kIdPause);
  return id_now();
}

const StatePtr& Queue::refusal(std::int64_t now_us) {
  const std::string_view error = full_.error(now_us);
  if (!refusal_ || refusal_->bytes() != error) {
    refusal_ = make_state(core_, true);
    refusal_->finish(Errc::queue_full, {error, Blob()});
    refusal_->run_followers();  // there are none: what follows is run at once
  }
  return refusal_;
}

void Queue::set_id(ActorId id) {
  const std::lock_guard lock(mutex_);
  id_ = id;
}

void Queue::set_opened(const wire::Opened& opened) {
  {
    const std::lock_guard lock(mutex_);
    if (opened.code == Errc::ok) {
      id_ = opened.actor;
      name_ = opened.queue;
      class_name_ = opened.class_name;
    }
  }
  if (opened_->ready()) return;
  bool sleepers = false;
  if (opened.code == Errc::ok) sleepers = opened_->finish(Errc::ok, {"\xc0", Blob()});
  else sleepers = opened_->finish_error(opened.code, opened.text);
  if (sleepers) opened_->wake();
  opened_->run_followers();
  AnyReady::announce();
}

}  // namespace callboard::client
