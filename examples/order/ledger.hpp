// A serial actor that several clients append to: no lock anywhere.
#pragma once

#include <callboard/callboard.hpp>

#include <utility>
#include <vector>

namespace demos {

/// Who appended, and that client's own number.
using Entry = std::pair<int, int>;

class Ledger {
 public:
  /// Returns where the entry stands: 0 for the first.
  int append(int client, int number);
  std::vector<Entry> entries() const;

  friend consteval auto describe(callboard::Class<Ledger> c) {
    return c.name("demos.Ledger")
        .method<&Ledger::append>("append")
        .method<&Ledger::entries>("entries");
  }

 private:
  std::vector<Entry> entries_;
};

}  // namespace demos
