#!/usr/bin/env python3
"""Measures what a power cut of Redis's machine takes from a running system.

usage: power_loss.py [--rounds N] [--fsync everysec|always]
Each round lets a client submit, cuts the power at a random moment (Redis is killed, its files are
cut back to what was synced), and compares the commits that the broker was told of with those left.
"""

import argparse
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import time

from chaos_system import ChaosSystem, die_with_parent

BINARY_DIR = pathlib.Path(os.environ.get("CALLBOARD_BINARY_DIR", "build/release")).resolve()
BUILT = BINARY_DIR / "tests" / "chaos"
POLL_S = 0.005


def commit_no(redis):
    answer = (redis.ask("HGET", "callboard:{0}:meta", "commit_no") or b"").split(b"\r\n")
    return int(answer[1]) if len(answer) > 2 else None


def wait_for_commits(redis):
    """The first commit number that there is."""
    deadline = time.monotonic() + 60
    while (number := commit_no(redis)) is None:
        if time.monotonic() > deadline:
            raise SystemExit("no commit came")
        time.sleep(POLL_S)
    return number


def one_round(system, seed):
    """Of the commits that are gone: milliseconds, how many, and calls answered in that time."""
    system.executions.touch()
    system.start()
    log = system.directory / "client.log"
    client = subprocess.Popen(
        [BUILT / "chaos_client", system.way_to_brokers("client"), system.executions, log, "c",
         str(seed), "60", "1000"], preexec_fn=die_with_parent)
    wait_for_commits(system.redis)
    seen = []  # (when, commit number)
    until = time.time() + random.Random(seed).uniform(3, 6)
    while time.time() < until:
        if (number := commit_no(system.redis)) is not None:
            seen.append((time.time(), number))
        time.sleep(POLL_S)
    cut_at = time.time()
    system.redis.cut_power()
    client.kill()
    client.wait()
    for part in system.parts:
        part.end(signal.SIGKILL)
    system.redis.start()
    left = wait_for_commits(system.redis)
    # What Redis showed us, it had also told the broker, or was about to.
    kept_until = max((when for when, number in seen if number <= left), default=seen[0][0])
    if left >= seen[-1][1]:
        return 0, 0, 0
    answered = sum(1 for line in log.read_text().splitlines()
                   if line.startswith("R ") and int(line.split()[4]) > kept_until * 1000)
    return (cut_at - kept_until) * 1000, seen[-1][1] - left, answered


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--fsync", choices=("everysec", "always"), default="everysec")
    arguments = parser.parse_args()
    callboard = os.environ.get("CALLBOARD_BIN", BINARY_DIR / "cli" / "callboard")
    rounds = []
    for seed in range(arguments.rounds):
        system = ChaosSystem(str(callboard), BUILT, brokers=1, fsync=arguments.fsync, seed=seed)
        try:
            rounds.append(one_round(system, seed))
        finally:
            for part in system.parts:
                part.end(signal.SIGKILL)
            system.network.end()
            system.remove()
    print(f"appendfsync {arguments.fsync}, {len(rounds)} power cuts")
    for column, name in enumerate(("ms of commits lost", "commits lost",
                                   "answers given in that time")):
        values = [row[column] for row in rounds]
        print(f"{name:28} least {min(values):7.0f}  middle {statistics.median(values):7.0f}  "
              f"most {max(values):7.0f}")
    return 1 if arguments.fsync == "always" and any(row[1] for row in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
