"""Row 7: calls are submitted while there is no worker, and drained once there is one."""

import contextlib
import json
import select
import socket
import subprocess
import time

from processes import Failed, cpu_us, descendants, memory_bytes, output_of

SETTLE_S = 30  # how long figures of memory may take to come to rest
STEADY_PART = 0.002


class Dialogue:
    """bench_backlog, step by step."""

    def __init__(self, stage, command, timeout):
        self.timeout = timeout
        self.process = stage.start(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.stage = stage

    def hear(self, word):
        """The line of the step that says `word`."""
        ready, _, _ = select.select([self.process.stdout], [], [], self.timeout)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise Failed(f"bench_backlog: nothing {word}: {self.stage.log()[-500:]}")
        said = json.loads(line)
        if word not in said:
            raise Failed(f"bench_backlog: {said}")
        return said

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def redis_info(path):
    """What INFO says, by name."""
    with socket.socket(socket.AF_UNIX) as to_redis:
        to_redis.settimeout(SETTLE_S)
        to_redis.connect(path)
        to_redis.sendall(b"INFO\r\n")
        with to_redis.makefile("rb") as answer:
            size = int(answer.readline()[1:])
            text = answer.read(size).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def redis_bytes(path):
    """Its memory without buffers, once it has come to rest: what waited for 50 ms has moved to its
    hash by then, and a hash that grew has moved to its new table."""
    before, end = -1, time.monotonic() + SETTLE_S
    while True:
        info = redis_info(path)
        now = int(info["used_memory"]) - int(info["mem_not_counted_for_evict"])
        if info["aof_rewrite_in_progress"] == "0" and abs(now - before) <= STEADY_PART * now:
            return now
        if time.monotonic() > end:
            raise Failed("the memory of Redis does not come to rest")
        before = now
        time.sleep(0.5)


def depth(callboard, endpoint):
    said = output_of(callboard, "--broker", endpoint, "-o", "json", "queue", "inspect", "backlog")
    with contextlib.suppress(ValueError, KeyError):
        return json.loads(said)["depth"]
    raise Failed(f"callboard queue inspect: {said}")


def measure(stage, system, command, options, calls, payload):
    """The figures of one backlog in `system`, which has no worker yet."""
    waiting = Dialogue(stage, command, options.get("timeout", 120) + 30)
    waiting.hear("connected")
    roles = {name: pids for name, pids in system.roles.items() if name != "worker"}
    roles["client"] = [waiting.process.pid]
    redis = system.redis_socket()
    redis_before, broker_before = redis_bytes(redis), memory_bytes(roles["broker"])
    cpu_before = {role: cpu_us(pids) for role, pids in roles.items()}

    waiting.go_on()
    submitted = waiting.hear("submitted")
    found = depth(system.program, system.endpoint)
    if found != calls:
        raise Failed(f"{calls} calls were accepted, and {found} wait")
    more = {"redis": redis_bytes(redis) - redis_before,
            "broker": memory_bytes(roles["broker"]) - broker_before}

    worker = system.start_worker(stage)
    waiting.go_on()
    drained = waiting.hear("landed")
    roles["worker"] = descendants(worker.pid)
    cpu = {role: (cpu_us(pids) - cpu_before.get(role, 0)) / calls for role, pids in roles.items()}
    waiting.go_on()
    if waiting.process.wait(30) != 0:
        raise Failed(f"bench_backlog: {drained} {stage.log()[-500:]}")
    return {**drained, "calls": calls, "submitted_per_s": submitted["calls_per_s"],
            "cpu_us_per_call": cpu,
            **{f"{role}_beyond_payload": grown / calls - payload for role, grown in more.items()}}
