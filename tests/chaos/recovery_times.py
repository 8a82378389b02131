#!/usr/bin/env python3
"""Measures how long a system is held up when one of its parts dies.

usage: recovery_times.py [--rounds N]
Prints, for each case, the shortest, the middle and the longest time of all rounds.
"""

import argparse
import collections
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

from chaos_system import ChaosSystem, die_with_parent

BINARY_DIR = pathlib.Path(os.environ.get("CALLBOARD_BINARY_DIR", "build/release")).resolve()
BUILT = BINARY_DIR / "tests" / "chaos"
POLL_S = 0.005
PATIENCE_S = 60


def wait_for(what, patience=PATIENCE_S):
    """When `what()` was true for the first time."""
    deadline = time.monotonic() + patience
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit("gave up waiting")
        time.sleep(POLL_S)
    return time.time()


class Bench:
    def __init__(self):
        callboard = os.environ.get("CALLBOARD_BIN", BINARY_DIR / "cli" / "callboard")
        self.system = ChaosSystem(str(callboard), BUILT)
        self.system.executions.touch()
        self.system.start()
        self.times = collections.defaultdict(list)
        self.number = 0
        wait_for(lambda: len(self.system.ask("worker", "ls") or "") > 2 and self.settled())

    def settled(self):
        """Every part runs, a broker serves, one stands by, and a call goes through."""
        self.system.revive()
        self.number += 1
        return self.system.ask("submit", "task", "chaos.note", f'"{self.system.executions}"',
                               f'"ready:{self.number}"', "0", "--timeout", "5s") is not None

    def serving(self):
        answer = self.system.redis.ask("HGET", "callboard:{0}:meta", "broker") or b""
        name = answer.split(b"\r\n")[1].decode()
        return next(broker for broker in self.system.brokers if broker.name == name)

    def starts(self, word):
        """[(process id, ms)] of a call, as its method noted them."""
        lines = (line.split() for line in self.system.executions.read_text().splitlines())
        return [(int(line[2]), int(line[5])) for line in lines if line[:2] == ["X", word]]

    def note(self, case, seconds):
        self.times[case].append(seconds)

    # --- a worker --------------------------------------------------------------------------------

    def lose_worker(self, vanish):
        """A worker dies with a long call: all of its processes at once, so that none reports it.
        `vanish`: and no connection is closed either, as when the host lost its power."""
        case = "a host vanishes" if vanish else "a worker's processes are killed"
        self.number += 1
        word = f"long:{self.number}"
        self.system.ask("submit", "task", "chaos.note", f'"{self.system.executions}"', f'"{word}"',
                        "20000", "--max-retries", "5", "--no-wait")
        wait_for(lambda: self.starts(word))
        pid = self.starts(word)[0][0]
        worker = next(one for one in self.system.workers if pid in self.system.children(one))
        log = self.serving().log
        before = log.stat().st_size
        if vanish:
            self.system.network.tell(do="stall", group=worker.name, seconds=PATIENCE_S)
        died = time.time()
        self.system.lose_host(worker)

        def gone():
            said = log.read_bytes()[before:].decode()
            return all(f"worker {worker.name}-{i} is gone" in said for i in range(2))

        self.note(f"{case}: noticed", wait_for(gone) - died)
        wait_for(lambda: len(self.starts(word)) > 1)
        self.note(f"{case}: its call runs again", self.starts(word)[1][1] / 1000 - died)
        self.system.network.tell(do="heal")
        for part in self.system.workers:  # ends the long call
            part.end(signal.SIGKILL)
        wait_for(self.settled)

    # --- what everybody waits for ----------------------------------------------------------------

    def under_load(self, case, break_it):
        """How long after `break_it` (or the moment that it returns) a call is answered that was
        submitted later."""
        self.number += 1
        log = self.system.directory / f"client-{self.number}.log"
        way = self.system.way_to_brokers(f"client-{self.number}")
        client = subprocess.Popen(
            [BUILT / "chaos_client", way, self.system.executions, log, f"b{self.number}",
             str(self.number), "12", "500"], preexec_fn=die_with_parent)
        time.sleep(2)
        began_ms = int(time.time() * 1000)
        from_ms = int((break_it() or began_ms / 1000) * 1000)
        client.wait()
        submitted, answered = {}, None
        for line in log.read_text().splitlines():
            words = line.split()
            if words[0] == "S":
                submitted[words[1]] = int(words[3])
            elif words[0] == "R" and words[2] == "ok" and submitted[words[1]] > began_ms:
                answered = int(words[4])
                if answered >= from_ms:
                    break
        if answered is None:
            raise SystemExit(f"{case}: nothing was answered any more")
        self.note(case, (answered - from_ms) / 1000)
        wait_for(self.settled)

    def kill_serving_broker(self):
        self.serving().end(signal.SIGKILL)

    def restart_redis(self):
        self.system.redis.end(signal.SIGKILL)
        time.sleep(3)
        self.system.redis.start()
        return wait_for(lambda: (self.system.redis.ask("PING") or b"").startswith(b"+PONG"))

    def print(self):
        print(f"{'seconds':48} {'least':>6} {'middle':>7} {'most':>6}  rounds")
        for case, times in self.times.items():
            print(f"{case:48} {min(times):6.2f} {statistics.median(times):7.2f} "
                  f"{max(times):6.2f}  {len(times)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    bench = Bench()
    try:
        for _ in range(rounds):
            bench.lose_worker(vanish=False)
            bench.lose_worker(vanish=True)
            bench.under_load("the serving broker is killed: flowing", bench.kill_serving_broker)
            bench.under_load("Redis is back: flowing", bench.restart_redis)
        bench.print()
    finally:
        for part in bench.system.parts:
            part.end()
        bench.system.network.end()
        bench.system.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
