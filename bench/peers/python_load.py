"""What the clients of the Python systems share: the messages of bench/load/message.hpp in Python,
loops with a window, percentiles."""

import argparse
import collections
import os
import pathlib
import struct
import sys
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "runner"))

from processes import cpu_us, descendants  # noqa: E402

HEAD = struct.Struct("<QI")


def argument(number, payload):
    body = HEAD.pack(number, 0) + b"x" * (payload - HEAD.size - 4)
    return body + struct.pack("<I", zlib.crc32(body))


def result(message):
    return message[:-4] + struct.pack("<I", zlib.crc32(message[:-4]) ^ 0xFF00)


class Inspector:
    """Turns arguments into results; nothing comes back right that was damaged or out of order."""

    def __init__(self):
        self.next = 0

    def answer(self, message):
        number = HEAD.unpack_from(message)[0]
        in_order, self.next = number >= self.next, number + 1
        if not in_order or message != argument(number, len(message)):
            return b""
        return result(message)


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--redis", default="")
    for name in ("calls", "calls-one", "window", "payload"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


def percentile(values, percent):
    return sorted(values)[int(percent / 100 * (len(values) - 1))]


def run(submit, get, calls, window, payload, first):
    """`submit(message)` gives what `get` waits for; results are taken in the order of submits.
    Figures of `calls` calls, which have numbers from `first` on."""
    latencies, waiting, damaged = [], collections.deque(), 0
    number, began = first, time.perf_counter()
    while number < first + calls or waiting:
        while number < first + calls and len(waiting) < window:
            message = argument(number, payload)
            waiting.append((time.perf_counter(), message, submit(message)))
            number += 1
        sent, message, future = waiting.popleft()
        damaged += bytes(get(future)) != result(message)
        latencies.append((time.perf_counter() - sent) * 1e6)
    seconds = time.perf_counter() - began
    return {"calls": calls, "seconds": seconds, "calls_per_s": calls / seconds,
            "p50_us": percentile(latencies, 50), "p99_us": percentile(latencies, 99),
            "landed": len(latencies), "damaged": damaged, "repeated": 0}


def measure(submit, get, given):
    """The figures that bench/run wants: latencies of one call at a time, rate and processor time of
    many at once. Exit status as well."""
    warm = run(submit, get, 20, 1, given.payload, 1)
    one = run(submit, get, given.calls_one, 1, given.payload, 21)
    me = [os.getpid()]
    others = [pid for pid in descendants(me[0]) if pid not in me]
    before = {pid: cpu_us([pid]) for pid in me + others}
    many = run(submit, get, given.calls, given.window, given.payload, 21 + given.calls_one)
    # A process that has ended meanwhile takes its time with it.
    used = {pid: max(cpu_us([pid]) - was, 0) for pid, was in before.items()}
    cpu = {"client": used[me[0]] / given.calls,
           "all others": sum(used[pid] for pid in others) / given.calls}
    return {**many, "p50_us": one["p50_us"], "p99_us": one["p99_us"],
            "damaged": warm["damaged"] + one["damaged"] + many["damaged"], "cpu_us_per_call": cpu}
