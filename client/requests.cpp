// Queues that are opened and let go of, and what is asked beside calls.
#include "client/client_core.hpp"
#include "client/raise.hpp"
#include "common/limits.hpp"

#include <utility>

namespace callboard::client {

namespace {

/// What the broker would take for a damaged message is refused here. `parts`: a namespace in front.
void check_name(std::string_view name, const char* what, std::size_t parts = 1) {
  if (name.size() <= parts * limits::kNameBytesMax + (parts - 1)) return;
  raise(Errc::too_large, std::string(what) + " of " + std::to_string(name.size()) +
                             " bytes is too long a name");
}

}  // namespace

bool Core::command(Command command) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || (closing_ && own_connection_ == nullptr)) return false;
    Entry& entry = gathered_.entries.emplace_back();
    entry.command = static_cast<std::uint32_t>(gathered_.commands.size());
    gathered_.commands.push_back(std::move(command));
  }
  lending_.asks();  // what it leads to is waited for elsewhere
  connection_->wake();
  return true;
}

// --- queues -------------------------------------------------------------------------------------

QueuePtr Core::make_queue(std::string_view class_name, std::string_view name,
                          const std::vector<std::string>& methods, bool id_comes) {
  check_name(class_name, "a class");
  check_name(name, "an actor or task", 2);
  std::uint32_t slot = 0;
  {
    const std::lock_guard lock(mutex_);
    if (free_slots_.empty()) {
      if (slots_made_ + 1 >= limits::kHandlesMax) {
        raise(Errc::too_large, "too many queues are open at once");
      }
      slot = slots_made_++;
    } else {
      slot = free_slots_.back();
      free_slots_.pop_back();
    }
  }
  return std::make_shared<Queue>(shared_from_this(), slot, std::string(class_name),
                                 std::string(name), methods, id_comes);
}

void Core::bind(std::uint32_t slot, std::uint32_t handle, const std::weak_ptr<Queue>& queue) {
  if (slot >= slots_.size()) slots_.resize(slot + 1);
  slots_[slot] = {handle, queue};
  if (handle >= slot_of_handle_.size()) slot_of_handle_.resize(handle + 1, kNone);
  slot_of_handle_[handle] = slot;
  // A session that has ended opens nothing; whoever waits for it is told.
  if (!session_.ended()) return;
  wire::Opened opened;
  opened.handle = handle;
  opened.code = session_.ended()->first;
  opened.text = session_.ended()->second;
  on_opened(handle, opened);
}

QueuePtr Core::create(std::string_view class_name, const ActorOptions& options, std::string args,
                      std::vector<std::string> methods) {
  Creation creation;
  creation.class_name = class_name;
  creation.options = prepare_options(options);
  creation.args = std::move(args);
  std::string name = options.name;
  if (!options.name_space.empty() && !name.empty()) name = options.name_space + "/" + name;
  if (creation.args.size() > limits::kPayloadBytesMax) {
    raise(Errc::too_large, "the constructor's arguments take too many bytes");
  }
  const bool certain = name.empty() || !options.get_if_exists;
  const QueuePtr queue = make_queue(class_name, name, methods, certain);
  const auto shared = std::make_shared<Creation>(std::move(creation));
  const std::uint32_t slot = queue->slot();
  const std::weak_ptr<Queue> weak = queue;
  const bool asked = command([=, this, methods = std::move(methods)](Instant now) {
    {
      const std::lock_guard lock(mutex_);
      ++unaccepted_calls_;
    }
    const std::uint32_t handle = session_.create(now, std::move(*shared), methods);
    bind(slot, handle, weak);
    const QueuePtr made = weak.lock();
    if (made && certain) made->set_id(session_.actor_of(handle));
  });
  if (!asked) fail_open(*queue);
  return queue;
}

QueuePtr Core::open(Target target, std::string_view class_name, std::vector<std::string> methods) {
  const bool certain = target.kind == wire::TargetKind::actor;
  const QueuePtr queue = make_queue(class_name, target.name, methods, certain);
  if (target.kind == wire::TargetKind::actor) queue->set_id(target.actor);
  const std::uint32_t slot = queue->slot();
  const std::weak_ptr<Queue> weak = queue;
  const bool asked = command([=, this, target = std::move(target),
                              methods = std::move(methods)](Instant) {
    bind(slot, session_.open(target, methods), weak);
  });
  if (!asked) fail_open(*queue);
  return queue;
}

void Core::fail_open(Queue& queue) const {
  wire::Opened opened;
  const std::optional<ErrorInfo> ended = error();
  opened.code = ended ? ended->code : Errc::disconnected;
  opened.text = ended ? ended->message : "the client was closed";
  queue.set_opened(opened);
}

QueuePtr Core::task(std::string_view name) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = tasks_.find(name);
    if (found != tasks_.end()) return found->second;
  }
  QueuePtr queue = open({wire::TargetKind::task, {}, std::string(name)}, "", {});
  const std::lock_guard lock(mutex_);
  if (closing_) return queue;
  return tasks_.emplace(std::string(name), queue).first->second;
}

QueuePtr Core::adopt(ActorId id, std::string_view name, std::string_view class_name,
                     std::vector<std::string> methods) {
  const auto key = std::pair(id, std::string(class_name));
  if (id) {
    const std::lock_guard lock(mutex_);
    const auto found = adopted_.find(key);
    if (found != adopted_.end()) {
      if (QueuePtr queue = found->second.lock()) return queue;
    }
  }
  Target target;
  target.kind = id ? wire::TargetKind::actor : wire::TargetKind::name;
  target.actor = id;
  if (!id) target.name = name;
  QueuePtr queue = open(std::move(target), class_name, std::move(methods));
  const std::lock_guard lock(mutex_);
  if (id) adopted_[key] = queue;
  // Those that nobody holds any more go from time to time.
  if (adopted_.size() >= adopted_sweep_) {
    std::erase_if(adopted_, [](const auto& entry) { return entry.second.expired(); });
    adopted_sweep_ = adopted_.size() * 2 + 64;
  }
  return queue;
}

void Core::add_method(Queue& queue, std::string name) {
  command([this, slot = queue.slot(), name = std::move(name)](Instant) {
    session_.add_methods(slots_[slot].handle, {name});
  });
}

void Core::close_queue(std::uint32_t slot) {
  command([this, slot](Instant) {
    const std::uint32_t handle = slots_[slot].handle;
    slot_of_handle_[handle] = kNone;
    slots_[slot] = Slot();
    session_.close(handle);
    const std::lock_guard lock(mutex_);
    free_slots_.push_back(slot);
  });
}

// --- requests -----------------------------------------------------------------------------------

StatePtr Core::request(std::function<void(Token)> ask) {
  auto state = make_state(shared_from_this(), false);
  const bool asked = command([this, state, ask = std::move(ask)](Instant) {
    const Token token = ++last_request_;
    requests_.emplace(token, state);
    ask(token);
  });
  if (!asked) {
    const std::optional<ErrorInfo> ended = error();
    state->finish_error(ended ? ended->code : Errc::disconnected, "the client was closed");
  }
  return state;
}

StatePtr Core::cancel(CallId call, bool force) {
  return request([this, call, force](Token token) { session_.cancel(token, call, force); });
}

StatePtr Core::kill(Queue& queue, bool restart) {
  return request([this, slot = queue.slot(), restart](Token token) {
    session_.kill(token, slots_[slot].handle, restart);
  });
}

StatePtr Core::admin(std::string_view verb, std::string info) {
  check_name(verb, "a verb");
  return request([this, verb = std::string(verb), info = std::move(info)](Token token) {
    session_.admin(token, verb, info);
  });
}

void Core::announce_wait(CallId self, CallId other, bool begins) {
  command([=, this](Instant) { session_.waiting(self, other, begins); });
}

}  // namespace callboard::client
