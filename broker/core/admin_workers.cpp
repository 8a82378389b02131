// Verbs about workers.
#include "broker/core/admin.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

constexpr std::size_t kSlotsShown = 1000;

void write_item(MapWriter& out, const Core& core, const Worker& worker) {
  const GroupWindow tasks = worker.task_slot->groups[0];
  out.text("worker", worker.name)
      .text("host", worker.host)
      .number("pid", worker.pid)
      .text_or_nil("supervisor", worker.supervisor)
      .text("state", worker.peer != nullptr ? "connected" : "away")
      .number("heard_ms", (core.listened_us_ - worker.heard_us) / kMicrosPerMilli)
      .number("actors", worker.actors)
      .number("running", worker.leases.size())
      .number("task_slots", tasks.window)
      .number("tasks_running", tasks.out);
}

std::string class_item(const wire::ClassOffer& offer) {
  ListWriter methods;
  for (std::size_t i = 0; i < offer.methods.size(); ++i) {
    const bool signed_too = i < offer.signatures.size() && !offer.signatures[i].empty();
    methods.add_text(offer.methods[i] + (signed_too ? " " + offer.signatures[i] : ""));
  }
  MapWriter out;
  out.text("class", offer.name).raw("methods", methods.finish());
  return out.finish();
}

std::string slot_item(std::uint32_t number, const Instance& instance) {
  MapWriter out;
  out.number("slot", number)
      .text("queue", instance.queue->name())
      .number("replica", instance.replica)
      .text("state", name_of(instance.state))
      .number("out", instance.out);
  return out.finish();
}

}  // namespace

AdminResult worker_ls(Core& core, const AdminRequest& request) {
  ListWriter items;
  std::string_view last;
  auto at = core.workers_.upper_bound(request.after);
  for (; at != core.workers_.end() && items.size() < request.limit; ++at) {
    MapWriter item;
    write_item(item, core, *at->second);
    items.add(item.finish());
    last = at->first;
  }
  return page(items, at == core.workers_.end() ? std::string_view() : last);
}

AdminResult worker_inspect(Core& core, const AdminRequest& request) {
  const auto found = core.workers_.find(request.worker);
  if (found == core.workers_.end()) {
    return AdminResult::failed(Errc::unknown_actor, "no worker is named " + request.worker);
  }
  const Worker& worker = *found->second;
  ListWriter classes;
  for (const auto& [name, offer] : worker.classes) classes.add(class_item(offer));
  ListWriter tasks;
  for (const auto& task : worker.tasks) tasks.add_text(task);
  ListWriter slots;
  worker.slots.each([&slots](std::uint64_t number, const Instance* instance) {
    if (slots.size() < kSlotsShown) {
      slots.add(slot_item(static_cast<std::uint32_t>(number), *instance));
    }
  });
  MapWriter out;
  write_item(out, core, worker);
  out.flag("dedicated", worker.dedicated)
      .raw("classes", classes.finish())
      .raw("tasks", tasks.finish())
      .raw("slots", slots.finish())
      .number("status_ms", worker.status_wall_ms);
  if (worker.status.empty())
    out.nil("status");
  else
    out.raw("status", worker.status);
  return {.value = out.finish()};
}

}  // namespace callboard::broker
