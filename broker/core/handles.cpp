// Handles: the numbers under which a session knows queues, and how it comes by them.
#include "broker/core/core.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kNameBytesMax &&
         name.find_first_of(":{},=?*[]^%/~ \t\n") == std::string_view::npos;
}

Handle& Core::fresh_handle(Session& session, std::uint32_t number) {
  if (number >= session.handles.size()) session.handles.resize(number + 1);
  Handle& handle = session.handles[number];
  if (handle.open) drop_handle(session, handle);
  handle = Handle();
  handle.open = true;
  return handle;
}

void Core::find_target(const wire::Open& message, Handle& handle) {
  const auto fail = [&](Errc code, std::string text) {
    handle.code = code;
    handle.more().text = std::move(text);
  };
  switch (message.kind) {
    case wire::TargetKind::task:
      if (!good_name(message.name)) {
        fail(Errc::invalid_option, "not a task's name: " + message.name);
      } else if (tasks_known_.contains(message.name) || workers_.empty()) {
        handle.queue = task_queue(message.name);
      } else {
        fail(Errc::unknown_task, "no worker has offered the task " + message.name);
      }
      return;
    case wire::TargetKind::name: {
      std::string_view name = message.name;
      if (name.starts_with("default/")) name.remove_prefix(8);
      Queue* const found = queues_.find(name);
      if (found == nullptr || found->kind == QueueKind::task) {
        return fail(Errc::unknown_actor, "no actor is named " + message.name);
      }
      handle.queue = QueuePtr(found);
      return;
    }
    case wire::TargetKind::actor:
      handle.queue = QueuePtr(queues_.actor(message.actor));
      if (!handle.queue) fail(Errc::actor_died, "the actor is gone");
      return;
  }
}

void Core::hold(Session& session, Handle& handle, QueuePtr queue) {
  handle.queue = std::move(queue);
  handle.code = Errc::ok;
  ++handle.queue->handles;
  const SessionId owner = handle.queue->owner;
  if (owner == session.id && owner != SessionId{}) ++handle.queue->owner_handles;
}

/// What the client is told of the queue behind a handle, or of the reason why there is none.
void Core::answer_open(Session& session, std::uint32_t number, const Handle& handle,
                       std::string_view class_name) {
  wire::Opened answer;
  answer.handle = number;
  answer.class_name = class_name;
  answer.code = handle.code;
  answer.text = handle.rare().text;
  if (const Queue* queue = handle.queue.get()) {
    answer.actor = queue->id;
    answer.queue = queue->name();
    answer.class_name = queue->class_name();
    answer.durability = queue->options().durability;
    answer.when_full = queue->options().when_full;
    answer.retried = queue->options().max_retries != 0;
  }
  wire::FrameWriter out = to(*session.peer, session.durable_batch);
  wire::write(out, answer);
}

void Core::on_open(Session& session, const wire::Open& message) {
  if (message.handle >= limits::kHandlesMax) return;
  Handle& handle = fresh_handle(session, message.handle);
  find_target(message, handle);
  if (handle.queue) {
    hold(session, handle, handle.queue);
    bind_methods(handle, message.methods);
  }
  answer_open(session, message.handle, handle, {});
}

bool Core::bind_methods(Handle& handle, const std::vector<std::string>& names) {
  if (!handle.queue) return false;
  for (const std::string& name : names) {
    const int index = handle.queue->intern_method(name);
    // Method 65535 is never there: a call of it is refused by its number.
    handle.methods.push_back(index < 0 ? std::uint16_t{0xffff} : static_cast<std::uint16_t>(index));
  }
  return true;
}

void Core::on_methods(Session& session, const wire::Methods& message) {
  if (Handle* handle = session.handle(message.handle)) bind_methods(*handle, message.names);
}

QueuePtr Core::task_queue(const std::string& function) {
  const std::string name = "task/" + function;
  if (Queue* const found = queues_.find(name)) return QueuePtr(found);
  wire::ActorOptions options;
  options.ordering = wire::Ordering::none;
  options.max_retries = limits::kTaskRetriesDefault;
  QueuePtr queue = new_queue(name, function, std::move(options));
  queue->kind = QueueKind::task;
  queues_.add(queue);
  queue->next_number = numbers_begin();
  queue->intern_method(function);
  for (auto& [worker_name, worker] : workers_) {
    if (std::find(worker->tasks.begin(), worker->tasks.end(), function) != worker->tasks.end()) {
      queue->instances.push_back(worker->task_slot.get());
    }
  }
  store_queue(*queue);
  return queue;
}

void Core::drop_handle(Session& session, Handle& handle) {
  handle.open = false;
  if (!handle.queue) return;
  Queue& queue = *handle.queue;
  queue.granted -= std::min(queue.granted, handle.rare().granted);
  if (queue.handles > 0) --queue.handles;
  const QueuePtr keep = handle.queue;
  if (queue.owner == session.id && queue.owner_handles > 0 && --queue.owner_handles == 0) {
    close_queue(queue);
  }
}

}  // namespace callboard::broker
