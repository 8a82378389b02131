// Schedules, as a client asks the broker for them. Thread safety: all of it.
#pragma once

#include <string_view>

namespace callboard::client {

class Core;

/// Asks a verb about the schedule of that name, and waits for the answer. Throws what it says.
void change_schedule(Core& core, std::string_view verb, std::string_view name);

}  // namespace callboard::client
