// How many calls run at once: max_concurrency, groups, keys, task slots.
#include "tests/sim/checker.hpp"

#include <map>
#include <tuple>

namespace callboard::sim {

namespace {

class ConcurrencyChecker final : public Checker {
 public:
  ConcurrencyChecker() : Checker("concurrency") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what == What::worker_died) return forget(record.process);
    if (record.what != What::begun && record.what != What::ended) return;
    const CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr || record.value == 0) return;
    const CallSpec& spec = *facts->spec;
    const TargetSpec& target = ledger.specs().targets[spec.target];
    const Place place{record.process, record.actor, record.incarnation, group_of(target, spec)};
    std::uint32_t& running = running_[place];
    if (record.what == What::ended) {
      --running;
      if (target.options.ordering == wire::Ordering::key) leave(key_of(spec), life_of(record));
      return;
    }
    ++running;
    const std::uint32_t limit = limit_of(target, spec);
    if (limit != 0 && running > limit) {
      return fail(verdict, std::to_string(running) + " run at once, " + std::to_string(limit) +
                               " are allowed: " + describe(spec));
    }
    if (target.options.ordering == wire::Ordering::key && !spec.options.key.empty()) {
      const auto [at, is_new] = keys_.try_emplace(key_of(spec), life_of(record));
      // What was cut off may still run what its successor begins again, in the same worker too.
      if (!is_new && at->second == life_of(record)) {
        return fail(verdict, "two calls of one key run at once: " + describe(spec));
      }
      at->second = life_of(record);
    }
  }

 private:
  using Place = std::tuple<ProcessId, ActorId, std::uint64_t, std::string>;
  using KeyPlace = std::pair<std::uint32_t, std::string>;
  using Life = std::pair<ProcessId, std::uint64_t>;  ///< incarnation 0: a task

  static Life life_of(const Record& record) { return {record.process, record.incarnation}; }
  static KeyPlace key_of(const CallSpec& spec) { return {spec.target, spec.options.key}; }
  static std::string group_of(const TargetSpec& target, const CallSpec& spec) {
    return target.kind == TargetSpec::Kind::task ? std::string() : spec.group;
  }
  static std::uint32_t limit_of(const TargetSpec& target, const CallSpec& spec) {
    for (const auto& [name, limit] : target.options.groups) {
      if (name == spec.group) return limit;
    }
    return target.options.max_concurrency;  // of a task: the worker's slots
  }
  void leave(const KeyPlace& key, const Life& life) {
    const auto at = keys_.find(key);
    if (at != keys_.end() && at->second == life) keys_.erase(at);
  }
  void forget(ProcessId process) {
    std::erase_if(running_, [&](const auto& entry) { return std::get<0>(entry.first) == process; });
    std::erase_if(keys_, [&](const auto& entry) { return entry.second.first == process; });
  }

  std::map<Place, std::uint32_t> running_;
  std::map<KeyPlace, Life> keys_;  ///< who runs a call of the key
};

}  // namespace

std::unique_ptr<Checker> make_concurrency_checker() {
  return std::make_unique<ConcurrencyChecker>();
}

}  // namespace callboard::sim
