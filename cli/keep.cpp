// callboard keep: the keeper of an embedded system. Not for people; the library starts it.
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "embedded/keeper.hpp"

#include <memory>

namespace callboard::cli {

void add_keep(const Command& program) {
  const auto fd = std::make_shared<int>(-1);
  Command keep = program.sub("keep", "The keeper of an embedded system");
  keep.hidden();
  keep.number("--fd", *fd, "Descriptor of the connection to the owner");
  keep.run([fd] { return embedded::run_keeper(*fd); });
}

}  // namespace callboard::cli
