#!/usr/bin/env python3
"""Breaks a running system in every way for a while, and judges whether its promises held.

usage: chaos.py [--seconds N] [--seed N] [--clients N] [--rate N] [--fsync always|everysec]
                [--kinds LIST] [--require-all] [--keep]
Faults follow the seed; what they hit depends on timing. The exit status is 0 when all held (and,
with --require-all, every kind of fault struck).
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

from chaos_system import ChaosSystem, die_with_parent
from faults import Faults
from history import History

BINARY_DIR = pathlib.Path(os.environ.get("CALLBOARD_BINARY_DIR", "build/release")).resolve()
BUILT = BINARY_DIR / "tests" / "chaos"


class Client:
    def __init__(self, system, name, way, seed, seconds, rate):
        self.log = system.directory / f"client-{name}.log"
        self.killed = False
        self.process = subprocess.Popen(
            [BUILT / "chaos_client", way, system.executions, self.log, name, str(seed),
             str(seconds), str(rate)], preexec_fn=die_with_parent)


class Clients:
    """Some live to the end; the last one dies now and then, and another takes its place."""

    def __init__(self, system, seed, count, seconds, rate):
        self.system, self.seed, self.rate = system, seed, rate
        self.until = time.monotonic() + seconds
        self.ways = [system.way_to_brokers(f"client-{i}") for i in range(count + 1)]
        self.all = []
        for i in range(count):
            self.start(f"c{i}", self.ways[i])
        self.mortal = None

    def start(self, name, way):
        left = max(1, round(self.until - time.monotonic()))
        seed = self.seed * 1000 + len(self.all)
        self.all.append(Client(self.system, name, way, seed, left, self.rate))
        return self.all[-1]

    def kill_one(self, random):
        if self.mortal is None or self.mortal.process.poll() is not None:
            return False
        self.mortal.process.kill()
        self.mortal.process.wait()
        self.mortal.killed = True
        self.mortal = None
        return True

    def revive(self):
        if self.mortal is None and time.monotonic() < self.until:
            self.mortal = self.start(f"m{len(self.all)}", self.ways[-1])

    def wait(self, patience, meanwhile):
        deadline = time.monotonic() + patience
        for client in self.all:
            while client.process.poll() is None and time.monotonic() < deadline:
                meanwhile()
                time.sleep(0.2)
            if client.process.poll() is None:
                client.process.kill()
                client.process.wait()


def queues_empty(system):
    """True when every queue is empty in the end."""
    for _ in range(50):
        answer = system.ask("queue", "ls")
        if answer is not None and all(queue["depth"] == 0 for queue in json.loads(answer)):
            return True
        time.sleep(0.2)
    return False


def run(system, arguments):
    system.executions.touch()
    system.start()
    time.sleep(1)
    clients = Clients(system, arguments.seed, arguments.clients, arguments.seconds,
                      arguments.rate)
    faults = Faults(system, clients, arguments.seed, arguments.kinds)
    end = time.monotonic() + arguments.seconds
    next_fault = time.monotonic() + 2
    while time.monotonic() < end:
        if time.monotonic() >= next_fault:
            faults.one()
            next_fault = time.monotonic() + faults.random.uniform(0.5, 2.5)
        faults.repair()
        time.sleep(0.3)
        system.revive()
        clients.revive()
    while faults.later:
        faults.repair(everything=True)
        system.revive()
    clients.wait(120, system.revive)
    history = History(lossy=arguments.fsync != "always")
    for client in clients.all:
        history.read_client(client.log, client.killed)
    if not queues_empty(system):
        left = system.ask("queue", "ls")
        history.problems.append(f"queues are not empty in the end: {left}")
    struck, missing = faults.struck(), faults.never_struck()
    if arguments.require_all:
        history.problems += [f"no {name} struck" for name in missing]
    system.stop()
    for pause in faults.pauses:
        history.add_pause(*pause)
    history.read_executions(system.executions)
    return history, history.judge(), faults, struck, missing


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1000,
                        help="calls per second that each client tries to make")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=(),
                        help="only these kinds of faults, with commas in between")
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always",
                        help="with everysec, what power cuts take is counted and no fault")
    parser.add_argument("--require-all", action="store_true",
                        help="fail when a kind of fault never struck")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run that held")
    return parser.parse_args()


def main():
    arguments = parse()
    callboard = os.environ.get("CALLBOARD_BIN", BINARY_DIR / "cli" / "callboard")
    system = ChaosSystem(str(callboard), BUILT, seed=arguments.seed, fsync=arguments.fsync)
    problems = ["it did not come to an end"]
    try:
        history, problems, faults, struck, missing = run(system, arguments)
        print(f"seed {arguments.seed}: {json.dumps(history.summary())}")
        print("faults: " + ", ".join(f"{name} {n}" for name, n in sorted(struck.items())))
        if missing:
            print("never struck: " + ", ".join(missing))
        print(f"{faults.kills()} processes ended without a word; power losses cut "
              f"{faults.bytes_lost} bytes that were not synced")
        for problem in problems[:50]:
            print("BROKEN: " + problem)
    finally:
        for part in system.parts:
            part.end()
        system.network.end()
        if problems or arguments.keep:
            print(f"logs: {system.directory}")
        else:
            system.remove()
    print("every promise held" if not problems else f"{len(problems)} promises broken")
    return 0 if not problems else 1


if __name__ == "__main__":
    sys.exit(main())
