"""A private Redis, broker and worker for tests: started, restarted, killed and removed by pid.

Everything listens on loopback or on unix sockets in a directory of its own, and dies with this
process, however that ends.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from own_processes import die_with_parent, free_port

BINARY_DIR = pathlib.Path(os.environ.get("CALLBOARD_BINARY_DIR", "build/release")).resolve()


def find_program():
    given = os.environ.get("CALLBOARD_BIN")
    return pathlib.Path(given) if given else BINARY_DIR / "cli" / "callboard"


def find_library():
    given = os.environ.get("CALLBOARD_PROTOCOL_APP")
    if given:
        return pathlib.Path(given)
    return BINARY_DIR / "tests" / "integration" / "protocol" / "libprotocol_app.so"


class Process:
    """One child; its output goes to a log file."""

    def __init__(self, command, log, environment=None, ready=True):
        read_end, write_end = os.pipe()
        full = {**os.environ, **(environment or {})}
        if ready:
            full["CALLBOARD_READY_FD"] = str(write_end)
        with open(log, "ab") as output:
            self.child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                          stdout=output, stderr=output, env=full,
                                          pass_fds=(write_end,), preexec_fn=die_with_parent)
        os.close(write_end)
        self.log = log
        if ready:
            self.wait_ready(read_end)
        os.close(read_end)

    def wait_ready(self, read_end):
        os.set_blocking(read_end, False)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                if os.read(read_end, 100):
                    return
                break  # it closed its end without a word
            except BlockingIOError:
                time.sleep(0.01)
        self.stop(signal.SIGKILL)
        raise RuntimeError(f"not ready: {self.child.args}\n{self.tail()}")

    def tail(self):
        return pathlib.Path(self.log).read_text(errors="replace")[-4000:]

    @property
    def running(self):
        return self.child.poll() is None

    def stop(self, how=signal.SIGTERM, timeout=10):
        if self.running:
            self.child.send_signal(how)
        try:
            self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        return self.child.returncode


class LocalSystem:
    """Redis and a broker, and a worker with the test library if wanted."""

    def __init__(self, worker=True, settings=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="callboard-protocol-"))
        self.port = free_port()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.settings = settings or {}
        self.redis = self.broker = self.worker = None
        try:
            self.start_redis()
            self.start_broker()
            if worker:
                self.start_worker()
        except BaseException:
            self.stop()
            raise

    def start_redis(self):
        path = self.directory / "redis.sock"
        self.redis = Process(
            ["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
             "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", self.directory],
            self.directory / "redis.log", ready=False)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(path))
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64).startswith(b"+PONG"):
                        return
                except OSError:
                    pass
            time.sleep(0.01)
        raise RuntimeError("redis-server does not answer")

    def start_broker(self):
        self.broker = Process([find_program(), "broker"], self.directory / "broker.log", {
            "CALLBOARD_CONFIG": "/dev/null",
            "CALLBOARD_BROKER_LISTEN": self.endpoint,
            "CALLBOARD_BROKER_EVENTS": "",
            "CALLBOARD_BROKER_REDIS": f"unix://{self.directory}/redis.sock",
            **self.settings,
        })

    def start_worker(self):
        self.worker = Process([find_program(), "worker"], self.directory / "worker.log", {
            "CALLBOARD_CONFIG": "/dev/null",
            "CALLBOARD_BROKER": self.endpoint,
            "CALLBOARD_WORKER_LOAD": str(find_library()),
            "CALLBOARD_WORKER_NAME": "protocol",
        })

    def kill_broker(self):
        self.broker.stop(signal.SIGKILL)

    def stop(self):
        for process in (self.worker, self.broker, self.redis):
            if process is not None:
                process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def broker_memory(self):
        """Resident bytes of the broker."""
        pages = pathlib.Path(f"/proc/{self.broker.child.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
