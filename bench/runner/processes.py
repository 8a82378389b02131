"""Processes of a measurement: their start and end, processor time and memory; free ports."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time


class Missing(Exception):
    """What is to be measured is not installed or not built."""


class Failed(Exception):
    """It was started and did not do what it should."""


def find_program(*candidates):
    for candidate in candidates:
        found = shutil.which(str(candidate))
        if found:
            return found
    raise Missing(f"{candidates[0]} is not there")


def free_port():
    """A port outside the range from which the kernel gives ports to clients."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise Failed("no free port")


def descendants(pid):
    """The process and all below it."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                todo += map(int, task.read_text().split())
    return found


def cpu_us(pids):
    """Microseconds of processor time, in steps of the kernel's tick."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(words[11]) + int(words[12])
    return ticks * 1e6 / os.sysconf("SC_CLK_TCK")


def memory_bytes(pids):
    """Memory that is these processes' own, shared pages in parts."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


class Stage(contextlib.ExitStack):
    """Processes and a folder that are gone when this ends, whatever happened."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="callboard-bench-")
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *command, env=None, stdout=None, stdin=subprocess.DEVNULL):
        log = open(pathlib.Path(self.folder, "log"), "a")
        self.callback(log.close)
        process = subprocess.Popen([str(word) for word in command], stdout=stdout or log,
                                   stderr=log, stdin=stdin, text=True,
                                   env={**os.environ, **(env or {})}, start_new_session=True,
                                   cwd=self.folder)
        self.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        all_of_it = descendants(process.pid) if process.poll() is None else []
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(8)
        for pid in all_of_it:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def wait_port(self, port, process, seconds=30):
        self.wait(lambda: connects(port), process, f"port {port}", seconds)

    def wait(self, ready, process, what, seconds=30):
        end = time.monotonic() + seconds
        while not ready():
            if process.poll() is not None:
                raise Failed(f"{process.args[0]} ended: {self.log()[-500:]}")
            if time.monotonic() > end:
                raise Failed(f"{process.args[0]}: no {what} after {seconds} s: {self.log()[-500:]}")
            time.sleep(0.02)

    def log(self):
        return pathlib.Path(self.folder, "log").read_text(errors="replace")


def connects(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def output_of(*command):
    """What a program says, for versions; empty when it cannot be asked."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip()
