#include "examples/order/ledger.hpp"

namespace demos {

int Ledger::append(int client, int number) {
  entries_.emplace_back(client, number);
  return static_cast<int>(entries_.size()) - 1;
}

std::vector<Entry> Ledger::entries() const { return entries_; }

}  // namespace demos
