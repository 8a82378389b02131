#!/usr/bin/env python3
"""Breaks a running system in every way for a while, and judges whether its promises held.

usage: chaos.py [--seconds N] [--seed N] [--clients N] [--keep]
Faults follow the seed; what they hit depends on timing. The exit status is 0 when all held.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from chaos_system import ChaosSystem, die_with_parent
from history import History

BINARY_DIR = pathlib.Path(os.environ.get("CALLBOARD_BINARY_DIR", "build/release")).resolve()


class Faults:
    """One fault after the other; what was stopped goes on again, what has ended is started."""

    def __init__(self, system, seed):
        self.system = system
        self.random = random.Random(seed)
        self.count = collections.Counter()
        self.asleep = []  # (when it goes on, process id)
        self.kinds = [
            (3, self.kill_broker), (2, self.pause_broker), (1, self.end_broker),
            (4, self.kill_child), (2, self.pause_child), (2, self.kill_worker),
            (2, self.end_worker), (1, self.kill_redis), (1, self.pause_redis)]

    def one(self):
        weights = [weight for weight, _ in self.kinds]
        fault = self.random.choices([kind for _, kind in self.kinds], weights)[0]
        fault()
        self.count[fault.__name__] += 1

    def pause(self, pid, longest):
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return
        self.asleep.append((time.monotonic() + self.random.uniform(0.2, longest), pid))

    def wake(self, everything=False):
        still = []
        for when, pid in self.asleep:
            if not everything and time.monotonic() < when:
                still.append((when, pid))
                continue
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.asleep = still

    def a_child(self):
        children = [pid for worker in self.system.workers if worker.running
                    for pid in self.system.children(worker)]
        return self.random.choice(children) if children else None

    def kill_broker(self):
        self.random.choice(self.system.brokers).end(signal.SIGKILL)

    def end_broker(self):
        self.random.choice(self.system.brokers).send(signal.SIGTERM)

    def pause_broker(self):
        broker = self.random.choice(self.system.brokers)
        if broker.running:
            self.pause(broker.child.pid, 5.0)

    def kill_child(self):
        if child := self.a_child():
            os.kill(child, signal.SIGKILL)

    def pause_child(self):
        if child := self.a_child():
            self.pause(child, 5.0)

    def kill_worker(self):
        self.random.choice(self.system.workers).end(signal.SIGKILL)

    def end_worker(self):
        self.random.choice(self.system.workers).send(signal.SIGTERM)

    def kill_redis(self):
        self.system.redis.end(signal.SIGKILL)

    def pause_redis(self):
        if self.system.redis.running:
            self.pause(self.system.redis.child.pid, 3.0)


def start_clients(system, arguments):
    clients = []
    for i in range(arguments.clients):
        log = system.directory / f"client-{i}.log"
        clients.append((log, subprocess.Popen(
            [BINARY_DIR / "tests" / "chaos" / "chaos_client", ",".join(system.endpoints),
             system.executions, log, f"c{i}", str(arguments.seed * 100 + i),
             str(arguments.seconds)], preexec_fn=die_with_parent)))
    return clients


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
    clients = start_clients(system, arguments)
    faults = Faults(system, arguments.seed)
    end = time.monotonic() + arguments.seconds
    next_fault = time.monotonic() + 2
    while time.monotonic() < end:
        if time.monotonic() >= next_fault:
            faults.one()
            next_fault = time.monotonic() + faults.random.uniform(0.5, 3.0)
        faults.wake()
        time.sleep(0.3)
        system.revive()
    faults.wake(everything=True)
    system.revive()
    history = History()
    for log, process in clients:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            system.revive()
            time.sleep(0.2)
        if process.poll() is None:
            process.kill()
            process.wait()
        history.read_client(log)
    if not queues_empty(system):
        left = system.ask("queue", "ls")
        history.problems.append(f"queues are not empty in the end: {left}")
    system.stop()
    history.read_executions(system.executions)
    return history, history.judge(), faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run that held")
    arguments = parser.parse_args()
    callboard = os.environ.get("CALLBOARD_BIN", BINARY_DIR / "cli" / "callboard")
    system = ChaosSystem(str(callboard), BINARY_DIR / "tests" / "chaos" / "libchaos_app.so")
    problems = ["it did not come to an end"]
    try:
        history, problems, faults = run(system, arguments)
        print(f"seed {arguments.seed}: {json.dumps(history.summary())}")
        print("faults: " + ", ".join(f"{name} {n}" for name, n in sorted(faults.count.items())))
        for problem in problems[:50]:
            print("BROKEN: " + problem)
    finally:
        for part in system.parts:
            part.end()
        if problems or arguments.keep:
            print(f"logs: {system.directory}")
        else:
            system.remove()
    print("every promise held" if not problems else f"{len(problems)} promises broken")
    return 0 if not problems else 1


if __name__ == "__main__":
    sys.exit(main())
