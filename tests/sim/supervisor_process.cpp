#include "tests/sim/supervisor_process.hpp"

#include <utility>

namespace callboard::sim {

SupervisorProcess::SupervisorProcess(Context& context, Observer& observer, const std::string& name)
    : LinkProcess(context, observer, name) {
  link_.add(*this, wire::Side::worker);
  start();
}

void SupervisorProcess::report(const WorkerRemains& remains, int signal, CallId blamed) {
  wire::ChildDied message;
  message.worker = remains.name;
  message.instance = remains.instance;
  message.pid = remains.pid;
  message.signal = signal;
  message.begun = remains.recorded;
  message.blamed = blamed;
  for (const wire::HeldCall& call : remains.recorded) {
    if (blamed ? blamed != call.call : remains.recorded.size() != 1) continue;
    Record record;
    record.what = What::charged;
    record.process = process_.id();
    record.call = call.call;
    record.attempt = call.attempt;
    context_.note(process_.name(), std::move(record));
  }
  unsent_.push_back(std::move(message));
  turn_soon();
}

void SupervisorProcess::fill_hello(wire::Hello& hello) {
  hello.role = wire::Role::supervisor;
  hello.name = process_.name();
  hello.host = "sim";
}

void SupervisorProcess::on_tick(Instant, bool ready, wire::LinkOut& out) {
  if (!ready) return;
  for (const wire::ChildDied& message : unsent_) {
    wire::FrameWriter writer = out.message();
    wire::write(writer, message);
  }
  unsent_.clear();
}

}  // namespace callboard::sim
