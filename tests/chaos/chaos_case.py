"""A test with a system of its own: real brokers, workers and Redis, with a network of ours."""

import json
import os
import pathlib
import time
import unittest

from chaos_system import ChaosSystem

BINARY_DIR = pathlib.Path(os.environ.get("CALLBOARD_BINARY_DIR", "build/release")).resolve()
BUILT = BINARY_DIR / "tests" / "chaos"
CHILDREN_EACH = 2  # of a worker


def until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


class ChaosCase(unittest.TestCase):
    workers = 2

    def setUp(self):
        callboard = os.environ.get("CALLBOARD_BIN", BINARY_DIR / "cli" / "callboard")
        self.system = ChaosSystem(str(callboard), BUILT, workers=self.workers)
        self.addCleanup(self.system.remove)
        self.addCleanup(self.system.network.end)
        self.addCleanup(lambda: [part.end() for part in self.system.parts])
        self.system.executions.touch()
        self.system.start()  # all brokers at once: one of them takes the empty store
        self.assertTrue(until(self.all_there, 60), "the system does not come up")

    def all_there(self):
        answer = self.system.ask("worker", "ls")
        if answer is None:
            return False
        connected = sum(worker["state"] == "connected" for worker in json.loads(answer))
        return connected == CHILDREN_EACH * self.workers

    def serving(self):
        """The broker that serves and finds nothing wrong."""
        self.assertTrue(until(lambda: self.system.ask("health"), 30), "no broker is well")
        health = json.loads(self.system.ask("health"))
        return next(broker for broker in self.system.brokers if broker.name == health["broker"])
