// When all is done and everyone has left, nothing is left behind in the store.
#include "tests/sim/checker.hpp"

#include <callboard/codec.hpp>

namespace callboard::sim {

namespace {

/// Of the broker itself, which makes the calls of schedules: its numbers go on.
constexpr std::string_view kBrokerSession = "0000000000000001";

class BaselineChecker final : public Checker {
 public:
  BaselineChecker() : Checker("baseline") {}

  void on(const Record&, Ledger&, Verdict&) override {}

  void at_end(Ledger&, const StoreModel& store, Verdict& verdict) override {
    // Causes before what follows from them.
    for (const std::string_view kind :
         {":calls", ":sent", ":delayed", "results:", "actors", "names", "sessions"}) {
      for (const auto& [name, key] : store.keys()) {
        if (kind.front() == ':' ? !name.ends_with(kind) : !name.starts_with(kind)) continue;
        std::string text;
        for (const auto& [field, value] : key.fields) {
          if (name == "sessions" && field == kBrokerSession) continue;
          text += " " + field + call_in(kind, value);
        }
        if (text.empty()) continue;
        fail(verdict, "the store still holds " + std::to_string(key.fields.size()) + " fields in " +
                          name + ":" + text.substr(0, 300));
        return;
      }
    }
  }

 private:
  /// The call that a record of an unfinished call is about.
  static std::string call_in(std::string_view kind, std::string_view record) {
    wire::Reader in(record);
    std::uint32_t n = 0;
    std::uint64_t version = 0, session = 0, seq = 0;
    if (kind != ":calls" || !in.array(n) || !in.uint(version) || !in.uint(session) ||
        !in.uint(seq)) {
      return {};
    }
    return " = " + to_string(CallId{SessionId{session}, seq});
  }
};

}  // namespace

std::unique_ptr<Checker> make_baseline_checker() { return std::make_unique<BaselineChecker>(); }

}  // namespace callboard::sim
