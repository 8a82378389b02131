// The subcommands: each adds itself to the command line, with what it will do.
// One source file each. Thread safety: none.
#pragma once

namespace callboard::cli {

class Command;

void add_dev(const Command& program);
void add_broker(const Command& program);
void add_worker(const Command& program);
void add_submit(const Command& program);
void add_queue(const Command& program);
void add_actor(const Command& program);
void add_deployment(const Command& program);
void add_call(const Command& program);
void add_schedule(const Command& program);
void add_dead(const Command& program);
void add_top(const Command& program);
void add_health(const Command& program);
void add_doctor(const Command& program);
void add_bench(const Command& program);
void add_config(const Command& program);
// Not for people: our own programs start these.
void add_keep(const Command& program);
void add_relay_part(const Command& program);

}  // namespace callboard::cli
