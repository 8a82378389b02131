// The subcommands: each adds itself to the command line and leaves its work in Context::action.
// One source file each. Thread safety: none.
#pragma once

namespace CLI {
class App;
}

namespace callboard::cli {

class Context;

void add_dev(CLI::App& app, Context& context);
void add_broker(CLI::App& app, Context& context);
void add_worker(CLI::App& app, Context& context);
void add_submit(CLI::App& app, Context& context);
void add_queue(CLI::App& app, Context& context);
void add_actor(CLI::App& app, Context& context);
void add_deployment(CLI::App& app, Context& context);
void add_call(CLI::App& app, Context& context);
void add_top(CLI::App& app, Context& context);
void add_health(CLI::App& app, Context& context);
void add_bench(CLI::App& app, Context& context);
void add_config(CLI::App& app, Context& context);
void add_keep(CLI::App& app, Context& context);
void add_relay_part(CLI::App& app, Context& context);

}  // namespace callboard::cli
