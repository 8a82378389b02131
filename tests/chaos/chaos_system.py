"""A system whose parts are broken on purpose: Redis, brokers that share a shard, workers, and a
network between them.

Every part is a child of this process, is signalled by its own id only, and dies with this process.
"""

import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent))

from own_processes import die_with_parent, free_port


class Part:
    """One program of the system, which is started again after its end."""

    def __init__(self, name, command, log, environment=None):
        self.name, self.command, self.log = name, [str(word) for word in command], log
        self.environment = {**os.environ, **(environment or {})}
        self.child = None

    def start(self):
        with open(self.log, "ab") as output:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=output, env=self.environment,
                                          preexec_fn=self.prepare)

    def prepare(self):
        die_with_parent()

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


class Redis(Part):
    """A Redis whose disk can fill up, and whose power can be cut."""

    MEMORY_MAX = 1 << 30

    def __init__(self, directory, fsync, notes_library):
        self.socket_path = directory / "redis.sock"
        self.data, self.notes = directory / "redis", directory / "fsync-notes"
        self.data.mkdir()
        self.notes.mkdir()
        super().__init__("redis", [
            "redis-server", "--port", "0", "--unixsocket", self.socket_path, "--save", "",
            "--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction",
            "--maxmemory", self.MEMORY_MAX, "--dir", self.data], directory / "redis.log",
            {"LD_PRELOAD": str(notes_library), "FSYNC_NOTES": str(self.notes)})
        self.file_bytes_max = resource.RLIM_INFINITY

    def prepare(self):
        die_with_parent()
        # What is beyond the limit is an error, as with a full disk, and no signal.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE,
                           (self.file_bytes_max, resource.RLIM_INFINITY))

    def limit_files(self, size):
        self.file_bytes_max = size
        if self.running:
            resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE,
                             (size, resource.RLIM_INFINITY))

    def files(self):
        return [path for path in (self.data / "appendonlydir").glob("*") if path.is_file()]

    def log_size(self):
        """Of the file that grows with each commit."""
        return max((path.stat().st_size for path in self.files() if ".incr." in path.name),
                   default=0)

    def cut_power(self):
        """Kills it and cuts its files back to what was synced. Says how many bytes that cost."""
        self.end(signal.SIGKILL)
        lost = 0
        for path in self.files():
            note = self.notes / str(path.stat().st_ino)
            synced = int(note.read_text()) if note.exists() else 0
            size = path.stat().st_size
            if synced < size:
                os.truncate(path, synced)
                lost += size - synced
        return lost

    def ask(self, *words, timeout=1.0):
        """Redis's answer to a command as bytes, or None."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                connection.connect(str(self.socket_path))
                connection.sendall((" ".join(map(str, words)) + "\r\n").encode())
                return connection.recv(1 << 16)
        except OSError:
            return None

    def used_memory(self):
        for line in (self.ask("INFO", "memory") or b"").split(b"\r\n"):
            if line.startswith(b"used_memory:"):
                return int(line.split(b":")[1])
        return None


class Network:
    """The proxy that stands between all parts."""

    def __init__(self, seed):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "proxy.py", str(seed)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def tell(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def link(self, name, group, listen, to):
        self.tell(do="open", name=name, group=group, listen=listen, to=to)

    def end(self):
        self.process.kill()
        self.process.wait()


class ChaosSystem:
    def __init__(self, callboard, built, brokers=2, workers=2, fsync="always", seed=1):
        self.callboard = callboard
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="callboard-chaos-"))
        self.executions = self.directory / "executions"
        self.network = Network(seed)
        self.redis = Redis(self.directory, fsync, built / "libfsync_notes.so")
        self.endpoints = [f"tcp://127.0.0.1:{free_port()}" for _ in range(brokers)]
        self.brokers = [self.broker(i, endpoint) for i, endpoint in enumerate(self.endpoints)]
        self.workers = [self.worker(i, built / "libchaos_app.so") for i in range(workers)]
        self.parts = [self.redis, *self.brokers, *self.workers]

    def broker(self, i, endpoint):
        to_redis = self.directory / f"redis-of-broker-{i}.sock"
        self.network.link(f"broker-{i}>redis", "store", f"unix:{to_redis}",
                          f"unix:{self.redis.socket_path}")
        return Part(f"broker-{i}", [self.callboard, "broker"], self.directory / f"broker-{i}.log", {
            "CALLBOARD_CONFIG": "/dev/null",
            "CALLBOARD_BROKER_NAME": f"broker-{i}",
            "CALLBOARD_BROKER_LISTEN": endpoint,
            "CALLBOARD_BROKER_EVENTS": "",
            "CALLBOARD_BROKER_STANDBY": "true",
            "CALLBOARD_BROKER_REDIS": f"unix://{to_redis}",
        })

    def worker(self, i, library):
        return Part(f"worker-{i}", [self.callboard, "worker"], self.directory / f"worker-{i}.log", {
            "CALLBOARD_CONFIG": "/dev/null",
            "CALLBOARD_BROKER": self.way_to_brokers(f"worker-{i}"),
            "CALLBOARD_WORKER_LOAD": str(library),
            "CALLBOARD_WORKER_NAME": f"worker-{i}",
            "CALLBOARD_WORKER_PROCESSES": "2",
            "CALLBOARD_WORKER_TASK_SLOTS": "2",
            "CALLBOARD_WORKER_RUNTIME_DIR": str(self.directory / f"run-{i}"),
        })

    def way_to_brokers(self, peer):
        """Addresses that lead to the brokers through links of this peer's own."""
        addresses = []
        for i, endpoint in enumerate(self.endpoints):
            address = f"127.0.0.1:{free_port()}"
            self.network.link(f"{peer}>broker-{i}", "peer", address,
                              endpoint.removeprefix("tcp://"))
            addresses.append("tcp://" + address)
        return ",".join(addresses)

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

    def lose_host(self, worker):
        """Kills all processes of a worker before any can speak for another."""
        children = self.children(worker)
        for pid in (worker.child.pid, *children):  # so that none sees another's death
            os.kill(pid, signal.SIGSTOP)
        for pid in (*children, worker.child.pid):
            os.kill(pid, signal.SIGKILL)
        worker.end()
        shutil.rmtree(worker.environment["CALLBOARD_WORKER_RUNTIME_DIR"], ignore_errors=True)

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
        self.network.end()

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)
