#include "examples/order/demo.hpp"

#include <future>
#include <latch>
#include <string>

namespace demos {

namespace {

constexpr int kClients = 4;
constexpr int kAppends = 250;  ///< of each
constexpr int kBurst = 25;     ///< appends without waiting in between, so that clients take turns

/// Where the entries came to stand.
std::vector<int> append_all(const std::string& broker, callboard::ActorId ledger, int me,
                            std::latch& start, const OrderPlan& plan) {
  callboard::Client client(broker);
  const auto append = client.get_actor<Ledger>(ledger);
  const auto overtake = append.with({.priority = 1});
  append.opened().get();
  start.arrive_and_wait();
  std::vector<int> places;
  while (places.size() < kAppends) {
    std::vector<callboard::Future<int>> futures;
    for (int i = 0; i < kBurst; ++i) {
      const auto& actor = plan.mixed_priorities && i % 2 == 1 ? overtake : append;
      const auto number = static_cast<int>(places.size()) + i;
      futures.push_back(actor.call<&Ledger::append>(me, number));
    }
    for (auto& future : futures) places.push_back(future.get());
  }
  return places;
}

int changes_of_client(const std::vector<Entry>& entries) {
  int changes = 0;
  for (std::size_t i = 1; i < entries.size(); ++i) {
    changes += entries[i].first != entries[i - 1].first;
  }
  return changes;
}

}  // namespace

int out_of_order(const std::vector<Entry>& entries) {
  std::vector<int> next(kClients, 0);
  int wrong = 0;
  for (const auto& [client, number] : entries) {
    int& expected = next.at(static_cast<std::size_t>(client));
    wrong += number != expected;
    expected = number + 1;
  }
  return wrong;
}

int misplaced(const std::vector<Entry>& entries, const std::vector<std::vector<int>>& places) {
  int wrong = 0;
  for (std::size_t client = 0; client < places.size(); ++client) {
    for (std::size_t number = 0; number < places[client].size(); ++number) {
      const auto place = static_cast<std::size_t>(places[client][number]);
      const Entry expected{static_cast<int>(client), static_cast<int>(number)};
      wrong += place >= entries.size() || entries[place] != expected;
    }
  }
  return wrong;
}

void show_order(const Stage& stage, Report& report, const OrderPlan& plan) {
  const auto ledger = stage.client.actor<Ledger>({.max_concurrency = 1});
  ledger.opened().get();
  const auto id = ledger.id();
  std::latch start(kClients);  // all of them at once
  std::vector<std::future<std::vector<int>>> clients;
  for (int me = 0; me < kClients; ++me) {
    clients.push_back(std::async(std::launch::async, [&, me] {
      return append_all(stage.broker, id, me, start, plan);
    }));
  }
  std::vector<std::vector<int>> places;
  for (auto& client : clients) places.push_back(client.get());
  const auto entries = ledger.call<&Ledger::entries>().get();

  constexpr int kAll = kClients * kAppends;
  const auto all = static_cast<int>(entries.size());
  const int disordered = out_of_order(entries);
  const int elsewhere = misplaced(entries, places);
  report.row("entries in the ledger", std::to_string(kAll), std::to_string(all), all == kAll);
  report.row("out of their client's order", "0", std::to_string(disordered), disordered == 0);
  report.row("not where append() said (total order)", "0", std::to_string(elsewhere),
             elsewhere == 0);
  report.info("  changes from one client to another", std::to_string(changes_of_client(entries)));
}

}  // namespace demos
