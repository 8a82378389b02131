// A process that makes schedules, changes them now and then, and removes them in the end. Nobody
// kills it: what is watched is the broker.
//
// Thread safety: none.
#pragma once

#include "client/core/session.hpp"
#include "tests/sim/link_process.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace callboard::sim {

/// The task function that scheduled calls run.
inline const std::string kTickTask = "tick";

class PlannerProcess final : public LinkProcess, private client::SessionSink {
 public:
  PlannerProcess(Context& context, Observer& observer, Random random);

  void remove_all();
  /// Everything that it asked for has its answer.
  bool idle() const { return asked_.empty(); }

 private:
  struct Asked {
    std::string verb;
    std::string info;
  };

  // client::SessionSink
  void on_numbered(client::Token, CallId) override {}
  void on_answer(client::Token, Errc, const wire::Body&) override {}
  void on_refused(client::Token, std::uint32_t, Errc, std::string_view) override {}
  void on_settled(std::uint64_t, std::uint64_t) override {}
  void on_opened(std::uint32_t, const wire::Opened&) override {}
  void on_parked(std::uint32_t, bool) override {}
  void on_full(std::uint32_t, const client::FullTold&) override {}
  void on_not_full(std::uint32_t) override {}
  void on_progress(std::uint32_t, const client::QueueProgress&) override {}
  void on_cancel_answer(client::Token, wire::CancelAnswer) override {}
  void on_request_answer(client::Token request, Errc status, std::string_view info) override;
  void on_connected(bool) override {}

  void create(const std::string& name);
  void change_something();
  void ask(const std::string& verb, std::string info);

  Random dice_;
  client::Session session_;
  std::map<client::Token, Asked> asked_;  ///< without an answer
  client::Token next_request_ = 1;
  std::vector<std::string> names_;
  bool removing_ = false;
};

}  // namespace callboard::sim
