#include "tests/sim/planner_process.hpp"

#include <callboard/codec.hpp>

#include <utility>

namespace callboard::sim {

namespace {

std::string named(const std::string& schedule) {
  std::string info;
  wire::Writer out(info);
  out.map(1);
  out.str("schedule");
  out.str(schedule);
  return info;
}

}  // namespace

PlannerProcess::PlannerProcess(Context& context, Observer& observer, Random random)
    : LinkProcess(context, observer, "planner"),
      dice_(random),
      session_(session_options(dice_, "planner"), *this) {
  link_.add(session_, wire::Side::client);
  start();
  const std::int64_t count = dice_.between(1, 3);
  for (std::int64_t i = 0; i < count; ++i) {
    names_.push_back("schedule" + std::to_string(i));
    process_.later(dice_.between(0, 300'000), [this, name = names_.back()] { create(name); });
  }
  if (dice_.chance(0.5)) process_.later(dice_.between(500'000, 4'000'000), [this] {
    change_something();
  });
}

void PlannerProcess::create(const std::string& name) {
  if (removing_) return;
  TickSpec& spec = context_.specs.ticks[name];
  spec.every = dice_.chance(0.6);
  spec.max_retries = static_cast<std::int32_t>(dice_.between(-1, 2));
  std::string options;
  wire::CallOptions call;
  call.max_retries = spec.max_retries;
  wire::Writer encoded(options);
  wire::write(encoded, call);
  std::string info;
  wire::Writer out(info);
  out.map(6);
  out.str("schedule");
  out.str(name);
  out.str("cron");
  out.str("* * * * * *");
  out.str("task");
  out.str(kTickTask);
  out.str("options");
  out.raw(options);
  out.str("catch_up");
  out.str(spec.every ? "all" : dice_.chance(0.5) ? "one" : "skip");
  out.str("catch_up_max");
  out.uint(1000);
  ask("schedule.create", std::move(info));
}

/// What is due while it is paused is left out, and so is what was due when another broker resumes.
void PlannerProcess::change_something() {
  if (removing_ || names_.empty()) return;
  const std::string name = dice_.pick(names_);
  context_.specs.ticks[name].every = false;
  ask("schedule.pause", named(name));
  process_.later(dice_.between(1'000, 2'000'000), [this, name] {
    if (!removing_) ask("schedule.resume", named(name));
  });
}

void PlannerProcess::ask(const std::string& verb, std::string info) {
  const client::Token request = next_request_++;
  asked_[request] = {verb, info};
  session_.admin(request, verb, std::move(info));
  turn_soon();
}

void PlannerProcess::on_request_answer(client::Token request, Errc status, std::string_view) {
  const auto found = asked_.find(request);
  if (found == asked_.end()) return;
  const Asked asked = found->second;
  context_.coverage.hit("schedule: " + asked.verb + ", " + std::string(name_of(status)));
  // Nobody knows whether it was done. All of them may be asked for again.
  const bool unknown = status == Errc::disconnected || status == Errc::store_unavailable;
  if (unknown) ask(asked.verb, asked.info);
  asked_.erase(request);
}

void PlannerProcess::remove_all() {
  removing_ = true;
  for (const std::string& name : names_) ask("schedule.rm", named(name));
}

}  // namespace callboard::sim
