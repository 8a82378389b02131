// A schedule: a call that is made again and again, at the times that a cron expression names.
#pragma once

#include "broker/core/cron.hpp"
#include "common/messages.hpp"

#include <callboard/ids.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace callboard::broker {

/// What becomes of the times at which nobody was there to make the call.
enum class CatchUp : std::uint8_t {
  skip = 0,  ///< nothing, unless it was a few seconds ago
  one = 1,   ///< one call for all of them
  all = 2,   ///< a call for each, at most catch_up_max: the last ones
};

struct Schedule {
  // stored
  std::string name;
  std::string cron_text;
  std::string zone_name;
  wire::TargetKind kind = wire::TargetKind::name;
  std::string target;   ///< name or id of an actor or deployment; name of a task
  std::string method;   ///< none for a task
  std::string options;  ///< encoded CallOptions
  std::string args;     ///< encoded list
  CatchUp catch_up = CatchUp::one;
  std::uint32_t catch_up_max = 0;
  bool paused = false;
  std::int64_t created_wall_ms = 0;
  std::int64_t next_s = 0;  ///< when the next call is due, seconds since 1970; 0: never
  std::int64_t last_s = 0;  ///< when the last one was
  CallId last_call;
  std::uint64_t made = 0;    ///< calls
  std::uint64_t failed = 0;  ///< times at which none could be made
  std::string problem;       ///< why, the last time

  // in memory only
  Cron cron;
  std::shared_ptr<const TimeZone> zone;
  std::string broken;  ///< why it cannot go on here, though it was stored

  bool same_as(const Schedule& other) const {
    return cron_text == other.cron_text && zone_name == other.zone_name && kind == other.kind &&
           target == other.target && method == other.method && options == other.options &&
           args == other.args && catch_up == other.catch_up && catch_up_max == other.catch_up_max;
  }
};

std::string_view name_of(CatchUp catch_up);
/// schedules, field name. [1, cron, zone, kind, target, method, options, args, catch_up,
/// catch_up_max, paused, created_wall_ms, next_s, last_s, session, seq, made, failed, problem]
std::string schedule_record(const Schedule& schedule);
bool read_schedule_record(std::string_view record, Schedule& schedule);

}  // namespace callboard::broker
