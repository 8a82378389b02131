// callboard deployment ls|inspect
#include "cli/command.hpp"
#include "cli/commands.hpp"

namespace callboard::cli {

void add_deployment(const Command& program) {
  Command deployment = program.sub("deployment", "Deployments: replicas behind one name");
  deployment.needs_one();
  add_ls(deployment, "deployment.ls",
         {{"deployment", "DEPLOYMENT"},
          {"class", "CLASS"},
          {"replicas", "REPLICAS"},
          {"alive", "ALIVE"},
          {"depth", "DEPTH"},
          {"running", "RUNNING"}});
  add_inspect(deployment, "inspect", "Show all of one", "deployment.inspect", "deployment");
}

}  // namespace callboard::cli
