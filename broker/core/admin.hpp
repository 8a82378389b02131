// Administrative verbs: what they are asked, what they answer. Internal to broker/core.
//
// docs/admin.md lists the verbs, their keys and the shapes of their answers. Every list is paged
// and looks at a bounded number of things, so that no question stops the loop. Thread safety: none.
#pragma once

#include "broker/core/core.hpp"

#include <callboard/codec.hpp>
#include <callboard/error.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {

/// A map whose size is known only when it is finished.
class MapWriter {
 public:
  MapWriter() = default;
  MapWriter(const MapWriter&) = delete;
  MapWriter& operator=(const MapWriter&) = delete;

  MapWriter& text(std::string_view key, std::string_view value) {
    return at(key).str(value), *this;
  }
  /// Nil when the text is empty.
  MapWriter& text_or_nil(std::string_view key, std::string_view value) {
    if (value.empty())
      at(key).nil();
    else
      at(key).str(value);
    return *this;
  }
  MapWriter& flag(std::string_view key, bool value) { return at(key).boolean(value), *this; }
  MapWriter& number(std::string_view key, std::integral auto value) {
    if constexpr (std::is_signed_v<decltype(value)>)
      at(key).integer(value);
    else
      at(key).uint(value);
    return *this;
  }
  MapWriter& real(std::string_view key, double value) { return at(key).f64(value), *this; }
  MapWriter& nil(std::string_view key) { return at(key).nil(), *this; }
  /// A value that is encoded already.
  MapWriter& raw(std::string_view key, std::string_view value) { return at(key).raw(value), *this; }
  /// For a value that is written by hand, right after.
  wire::Writer& at(std::string_view key) {
    ++count_;
    body_.str(key);
    return body_;
  }
  std::string finish() const {
    std::string out;
    wire::Writer(out).map(count_);
    return out + bytes_;
  }

 private:
  std::string bytes_;
  wire::Writer body_{bytes_};
  std::size_t count_ = 0;
};

/// A list whose size is known only when it is finished.
class ListWriter {
 public:
  void add(std::string_view encoded) {
    ++count_;
    bytes_ += encoded;
  }
  void add_text(std::string_view text) {
    ++count_;
    wire::Writer(bytes_).str(text);
  }
  std::size_t size() const { return count_; }
  std::string finish() const {
    std::string out;
    wire::Writer(out).array(count_);
    return out + bytes_;
  }

 private:
  std::string bytes_;
  std::size_t count_ = 0;
};

/// What a verb may be given; each verb says in docs/admin.md which of it it reads.
struct AdminRequest {
  std::string queue;
  std::string actor;
  std::string deployment;
  std::string worker;
  std::string call;
  std::string after;
  std::uint64_t limit = 100;
  // of schedule.create
  std::string schedule, cron, zone, target, task, method, catch_up;
  std::string options;  ///< encoded CallOptions
  std::string args;     ///< encoded list
  std::uint64_t catch_up_max = 0;
  bool replace = false;
};

struct AdminResult {
  Errc code = Errc::ok;
  std::string value;          ///< encoded map; when it failed, plain text
  bool after_commit = false;  ///< told only when what it changed is committed

  static AdminResult failed(Errc code, std::string text) { return {code, std::move(text), false}; }
};

/// {"items": [...], "next": text or nil}
AdminResult page(const ListWriter& items, std::string_view next);

// admin_queues.cpp
AdminResult queue_ls(Core& core, const AdminRequest& request);
AdminResult queue_inspect(Core& core, const AdminRequest& request);
AdminResult queue_explain(Core& core, const AdminRequest& request);
AdminResult queue_pause(Core& core, const AdminRequest& request);
AdminResult queue_resume(Core& core, const AdminRequest& request);
AdminResult queue_purge(Core& core, const AdminRequest& request);

// admin_actors.cpp
AdminResult actor_ls(Core& core, const AdminRequest& request);
AdminResult actor_inspect(Core& core, const AdminRequest& request);
AdminResult actor_kill(Core& core, const AdminRequest& request);
AdminResult deployment_ls(Core& core, const AdminRequest& request);
AdminResult deployment_inspect(Core& core, const AdminRequest& request);

// admin_workers.cpp
AdminResult worker_ls(Core& core, const AdminRequest& request);
AdminResult worker_inspect(Core& core, const AdminRequest& request);

// admin_calls.cpp
AdminResult call_ls(Core& core, const AdminRequest& request);
AdminResult call_inspect(Core& core, const AdminRequest& request);
AdminResult call_explain(Core& core, const AdminRequest& request);

// admin_dead.cpp
AdminResult dead_ls(Core& core, const AdminRequest& request);
AdminResult dead_show(Core& core, const AdminRequest& request);
AdminResult dead_redrive(Core& core, const AdminRequest& request);
AdminResult dead_purge(Core& core, const AdminRequest& request);

// admin_schedules.cpp
AdminResult schedule_create(Core& core, const AdminRequest& request);
AdminResult schedule_ls(Core& core, const AdminRequest& request);
AdminResult schedule_inspect(Core& core, const AdminRequest& request);
AdminResult schedule_remove(Core& core, const AdminRequest& request);
AdminResult schedule_pause(Core& core, const AdminRequest& request);
AdminResult schedule_resume(Core& core, const AdminRequest& request);

// explain.cpp
/// One thing that something waits for: a word for programs and a sentence for people.
struct Reason {
  std::string_view code;
  std::string text;
};
std::vector<Reason> explain(Core& core, const Call& call);
std::vector<Reason> explain(Core& core, const Queue& queue);
/// {"KIND": name, "text": all sentences, "reasons": [{"code", "text"}, ...]}
std::string explanation(std::string_view kind, std::string_view name,
                        const std::vector<Reason>& reasons);

/// The actor, deployment or task queue of that name or id; null when there is none.
Queue* find_queue(Core& core, std::string_view name);
std::string_view name_of(CallState state);
std::string_view name_of(QueueState state);

}  // namespace callboard::broker
