// What a Redis server says about itself, and what that means for the broker.
//
// No I/O. Thread safety: none.
#pragma once

#include "broker/core/event.hpp"
#include "broker/store/resp.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::broker {

/// From INFO and CONFIG GET. A text is empty where Redis does not tell.
struct ServerFacts {
  std::string version;              ///< "7.0.15"
  std::string run_id;
  std::uint64_t process_id = 0;
  std::string role;                 ///< "master" or "slave"
  bool loading = false;
  std::string eviction_policy;      ///< maxmemory-policy
  std::uint64_t used_memory = 0;    ///< bytes
  std::uint64_t memory_max = 0;     ///< bytes, 0: no limit
  std::string append_only;          ///< "yes" or "no"
  std::string append_fsync;         ///< "always", "everysec" or "no"
  std::string no_fsync_on_rewrite;  ///< "yes" or "no"
  std::string save;                 ///< snapshot rules, empty: none
  std::string config_problem;       ///< why CONFIG told nothing
};

/// Takes what the reply to INFO says.
void read_info(std::string_view info, ServerFacts& facts);
/// Takes the reply to CONFIG GET (an error where CONFIG is forbidden).
void read_config(const Reply& reply, ServerFacts& facts);

/// One sentence: why no broker may work with this server; empty when it may.
std::string refusal(const ServerFacts& facts);
/// One sentence: what a crash may lose of what was acknowledged.
std::string durability(const ServerFacts& facts);
/// The policy in one word: "always", "everysec", "no", "off" (appendonly is no) or "unknown".
std::string fsync_policy(const ServerFacts& facts);
/// What of it an operator sees.
StoreFacts facts_for_people(const ServerFacts& facts);

/// How soon Redis must be sure that a commit is on disk, so that a broker works with it.
enum class RequireFsync : std::uint8_t { none, everysec, always };
/// One sentence: why the server's policy is weaker than required; empty when it is not.
std::string too_weak(const ServerFacts& facts, RequireFsync required);
/// Acknowledged commits survive a crash of Redis or of its machine.
bool survives_power_loss(const ServerFacts& facts);

/// Tells when memory runs short: above 90 % of the limit, until it is below 85 % again.
class MemoryWatch {
 public:
  /// True when the answer of full() changed.
  bool update(const ServerFacts& facts);
  bool full() const { return full_; }

 private:
  bool full_ = false;
};

}  // namespace callboard::broker
