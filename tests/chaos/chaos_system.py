"""A system whose parts are broken on purpose: Redis, brokers that share a shard, workers.

Every part is a child of this process, is signalled by its own id only, and dies with this process.
"""

import ctypes
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    """A port below the range from which outgoing connections take theirs."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Part:
    """One program of the system, which is started again after its end."""

    def __init__(self, name, command, log, environment=None):
        self.name, self.command, self.log = name, [str(word) for word in command], log
        self.environment = {**os.environ, **(environment or {})}
        self.child = None
        self.stopped = False

    def start(self):
        with open(self.log, "ab") as output:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=output, env=self.environment,
                                          preexec_fn=die_with_parent)
        self.stopped = False

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    def send(self, number):
        if self.running:
            self.child.send_signal(number)

    def end(self, number=signal.SIGKILL, timeout=15):
        if self.child is None:
            return
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class ChaosSystem:
    def __init__(self, callboard, library, brokers=2, workers=2, fsync="always"):
        self.callboard = callboard
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="callboard-chaos-"))
        self.executions = self.directory / "executions"
        socket_path = self.directory / "redis.sock"
        self.redis = Part("redis", [
            "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "",
            "--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction",
            "--dir", self.directory], self.directory / "redis.log")
        self.endpoints = [f"tcp://127.0.0.1:{free_port()}" for _ in range(brokers)]
        self.brokers = [
            Part(f"broker-{i}", [callboard, "broker"], self.directory / f"broker-{i}.log", {
                "CALLBOARD_CONFIG": "/dev/null",
                "CALLBOARD_BROKER_NAME": f"broker-{i}",
                "CALLBOARD_BROKER_LISTEN": endpoint,
                "CALLBOARD_BROKER_EVENTS": "",
                "CALLBOARD_BROKER_STANDBY": "true",
                "CALLBOARD_BROKER_REDIS": f"unix://{socket_path}",
            }) for i, endpoint in enumerate(self.endpoints)]
        self.workers = [
            Part(f"worker-{i}", [callboard, "worker"], self.directory / f"worker-{i}.log", {
                "CALLBOARD_CONFIG": "/dev/null",
                "CALLBOARD_BROKER": ",".join(self.endpoints),
                "CALLBOARD_WORKER_LOAD": str(library),
                "CALLBOARD_WORKER_NAME": f"worker-{i}",
                "CALLBOARD_WORKER_PROCESSES": "2",
                "CALLBOARD_WORKER_TASK_SLOTS": "2",
                "CALLBOARD_WORKER_RUNTIME_DIR": str(self.directory / f"run-{i}"),
            }) for i in range(workers)]
        self.parts = [self.redis, *self.brokers, *self.workers]

    def start(self):
        for part in self.parts:
            part.start()

    def children(self, worker):
        """Process ids of a worker's children."""
        try:
            tasks = pathlib.Path(f"/proc/{worker.child.pid}/task").iterdir()
            return [int(word) for task in tasks
                    for word in (task / "children").read_text().split()]
        except OSError:
            return []

    def revive(self):
        """Starts what has ended; a part that is stopped stays so."""
        for part in self.parts:
            if not part.running:
                part.start()

    def ask(self, *words):
        """What `callboard WORDS` prints, or None when it fails."""
        done = subprocess.run(
            [self.callboard, *words, "-o", "json"], capture_output=True, text=True, timeout=30,
            env={**os.environ, "CALLBOARD_CONFIG": "/dev/null",
                 "CALLBOARD_BROKER": ",".join(self.endpoints)})
        return done.stdout if done.returncode == 0 else None

    def stop(self):
        for part in reversed(self.parts):
            part.end(signal.SIGTERM)

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)
