// What every simulated caller writes down of its calls, be it an application or a method.
//
// Thread safety: none.
#pragma once

#include "tests/sim/context.hpp"
#include "tests/sim/process.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace callboard::sim {

/// The methods of the simulated classes.
inline const std::vector<std::string> kMethods{"m0", "m1", "m2", "m3"};

/// The argument list of a call that takes no results.
std::string encode_args(const std::string& token);
/// What the options of call and actor come to.
void settle_promises(CallSpec& spec, const TargetSpec& target);
/// The flags that go with its options.
std::uint8_t flags_of(const wire::CallOptions& options);
/// Nothing was stored: the call was refused, by the broker or already here.
bool is_refusal(Errc code);

Record record_of(What what, const Process& process, const CallSpec& spec);
/// The session gave the call this number; `first`: it had none before.
void note_number(Context& context, const Process& process, CallSpec& spec, CallId id);
void note_resolved(Context& context, const Process& process, const CallSpec& spec, Errc status,
                   const std::string& bytes);
void note_refused(Context& context, const Process& process, const CallSpec& spec, Errc status,
                  const std::string& bytes);
/// The client answered the call itself: it has no number, and nobody else hears of it.
void note_refused_here(Context& context, const Process& process, CallSpec& spec);
/// `client` says that it has seen the refusals of this target.
void note_resumed(Context& context, const Process& process, std::uint32_t client,
                  std::uint32_t target);
/// The broker did not know the session of `client`, which has begun a new one.
void note_session_refused(Context& context, const Process& process, std::uint32_t client);

}  // namespace callboard::sim
