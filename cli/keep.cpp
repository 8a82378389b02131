// callboard keep: the keeper of an embedded system. Not for people; the library starts it.
#include "cli/commands.hpp"
#include "cli/context.hpp"
#include "embedded/keeper.hpp"

#include <memory>

#include <CLI/CLI.hpp>

namespace callboard::cli {

void add_keep(CLI::App& app, Context& context) {
  CLI::App* keep = app.add_subcommand("keep", "The keeper of an embedded system");
  keep->group("");  // not in the help
  const auto fd = std::make_shared<int>(-1);
  keep->add_option("--fd", *fd, "Descriptor of the connection to the owner")->required();
  keep->callback([&context, fd] { context.action = [fd] { return embedded::run_keeper(*fd); }; });
}

}  // namespace callboard::cli
