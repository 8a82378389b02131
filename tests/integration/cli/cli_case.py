"""What the tests of the command line share: running it, a system of one's own, who is alive."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BIN = os.environ.get("CALLBOARD_BIN", "callboard")
APP = os.environ.get("CALLBOARD_CLI_APP", "libcli_app.so")
PATIENCE_S = 60


def environment(**changes):
    """This process's environment without settings of whoever runs the tests."""
    out = {name: value for name, value in os.environ.items() if not name.startswith("CALLBOARD_")}
    out["CALLBOARD_CONFIG"] = "/dev/null"
    out.update(changes)
    return out


def run(*arguments, **changes):
    """Runs the command line; stdout, stderr and returncode are in the answer."""
    return subprocess.run([BIN, *arguments], env=environment(**changes), capture_output=True,
                          text=True, timeout=PATIENCE_S)


def eventually(condition, seconds=PATIENCE_S):
    """True as soon as the condition holds, False when it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    """The process ids of all children of a process, and of theirs."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


class Dev:
    """A running `callboard dev`, its sockets in a directory of its own."""

    def __init__(self, *arguments, base=None, port="0", config="/dev/null"):
        self.base = base or tempfile.mkdtemp(prefix="cbcli", dir="/tmp")
        self.own_base = base is None
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [BIN, "dev", "--port", port, "-o", "json", *arguments], stdout=subprocess.PIPE,
            stderr=self.log, text=True,
            env=environment(XDG_RUNTIME_DIR=self.base, CALLBOARD_CONFIG=config))
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            raise AssertionError(f"dev ended with {status}: {self.read_log()}")
        self.info = json.loads(line)

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def run(self, *arguments):
        return run("--broker", self.info["endpoint"], *arguments)

    def json(self, *arguments):
        done = self.run(*arguments, "-o", "json")
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def pids(self):
        return [self.process.pid, *descendants(self.process.pid)]

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        self.close()
        return status

    def close(self):
        self.process.stdout.close()
        self.log.close()
        if self.own_base:
            shutil.rmtree(self.base, ignore_errors=True)


class SystemCase(unittest.TestCase):
    """Tests that share one system with the library of this directory."""

    @classmethod
    def setUpClass(cls):
        cls.dev = Dev("--load", APP, "--workers", "2")

    @classmethod
    def tearDownClass(cls):
        cls.dev.stop()

    def fails(self, code, words, *arguments):
        """The command ends with this code and one line that holds the words."""
        done = self.dev.run(*arguments)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        self.assertIn(words, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("callboard: "), done.stderr)
        return done

    def succeeds(self, *arguments):
        done = self.dev.run(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def actor(self, *options):
        """A new actor of class Napper, named after the test."""
        name = self._testMethodName.replace("_", "-")[:100]
        self.succeeds("actor", "create", "Napper", "0", "--name", name, *options)
        self.addCleanup(self.dev.run, "actor", "kill", name)
        return name
