#include "tests/sim/checker.hpp"

namespace callboard::sim {

std::vector<std::unique_ptr<Checker>> make_checkers(std::int64_t dedupe_ttl_ms, bool lossless,
                                                    bool lost_time) {
  std::vector<std::unique_ptr<Checker>> checkers;
  if (!lost_time) checkers.push_back(make_attempts_checker());
  checkers.push_back(make_baseline_checker());
  checkers.push_back(make_concurrency_checker());
  checkers.push_back(make_deadline_checker());
  if (!lost_time) checkers.push_back(make_dedupe_checker(dedupe_ttl_ms));
  checkers.push_back(make_delay_checker());
  checkers.push_back(make_dependency_checker());
  checkers.push_back(make_incarnation_checker());
  checkers.push_back(make_liveness_checker());
  if (!lost_time) checkers.push_back(make_order_checker());
  checkers.push_back(make_outcome_checker(lost_time));
  checkers.push_back(make_pending_checker());
  checkers.push_back(make_refusal_checker());
  if (!lost_time) checkers.push_back(make_schedule_checker(lossless));
  if (!lost_time) checkers.push_back(make_stability_checker());
  return checkers;
}

std::string describe(const CallSpec& spec) {
  std::string text = "call " + to_string(spec.id) + " (client " + std::to_string(spec.client) +
                     ", target " + std::to_string(spec.target) + "." + spec.method;
  if (!spec.group.empty()) text += ", group " + spec.group;
  if (!spec.options.key.empty()) text += ", key " + spec.options.key;
  text += ", max_retries " + std::to_string(spec.max_retries);
  if (spec.errors_retried) text += ", errors retried";
  if (spec.plan.failing_attempts > 0) {
    text += ", first " + std::to_string(spec.plan.failing_attempts) + " attempts throw";
  }
  if (spec.deadline_us != kNever) text += ", deadline " + std::to_string(spec.deadline_us);
  if (spec.delay_us != 0) text += ", delay " + std::to_string(spec.delay_us);
  if (spec.options.priority) text += ", priority " + std::to_string(*spec.options.priority);
  if (spec.once != nullptr) text += ", idempotency key " + spec.token;
  if (spec.inside != nullptr) text += ", made inside " + to_string(spec.inside->id);
  for (const CallSpec* other : spec.takes) text += ", takes " + to_string(other->id);
  if (!spec.durable) text += ", memory";
  if (spec.options.no_result) text += ", no result";
  return text + ")";
}

}  // namespace callboard::sim
