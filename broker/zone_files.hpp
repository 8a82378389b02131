// Time zones as the system keeps them: files under /usr/share/zoneinfo, or $TZDIR.
// Thread safety: all of it.
#pragma once

#include <string>
#include <string_view>

namespace callboard::broker {

/// The bytes of the zone's file; empty when there is none. REQUIRES: good_zone_name(name)
std::string read_zone_file(std::string_view name);

}  // namespace callboard::broker
