// When all is done and everyone has left, nothing is left behind in the store.
#include "tests/sim/checker.hpp"

namespace callboard::sim {

namespace {

class BaselineChecker final : public Checker {
 public:
  BaselineChecker() : Checker("baseline") {}

  void on(const Record&, Ledger&, Verdict&) override {}

  void at_end(Ledger&, const StoreModel& store, Verdict& verdict) override {
    for (const auto& [name, key] : store.keys()) {
      const bool of_calls = name.ends_with(":calls") || name.ends_with(":sent");
      const bool of_actors = name == "actors" || name == "names";
      const bool of_clients = name == "sessions" || name.starts_with("results:");
      if (!of_calls && !of_actors && !of_clients) continue;
      fail(verdict, "the store still holds " + std::to_string(key.fields.size()) + " fields in " +
                        name + ", the first is " + key.fields.begin()->first);
      return;
    }
  }
};

}  // namespace

std::unique_ptr<Checker> make_baseline_checker() { return std::make_unique<BaselineChecker>(); }

}  // namespace callboard::sim
