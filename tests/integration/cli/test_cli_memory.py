"""A broker whose memory for calls is bounded: what waits is in Redis, and comes back in order."""

import os
import pathlib
import tempfile
import unittest

from cli_case import APP, Dev, eventually

CALLS = 40


class Memory(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cbcli", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.base = folder.name
        self.config = pathlib.Path(self.base) / "callboard.toml"
        self.config.write_text("[broker]\nmemory_max = 1\n")

    def start(self):
        dev = Dev("--load", APP, "--data", os.path.join(self.base, "data"), base=self.base,
                  config=str(self.config))
        self.addCleanup(lambda: dev.process.poll() is None and dev.stop())
        return dev

    def backlog(self, dev):
        """A paused actor and its calls, most of which have left the broker's memory."""
        dev.json("actor", "create", "Napper", "0", "--name", "deep")
        dev.json("queue", "pause", "deep")
        calls = [dev.json("submit", "deep", "count", "--no-wait")["call"] for _ in range(CALLS)]
        self.assertTrue(eventually(lambda: self.stored(dev) > CALLS / 2))
        return calls

    def stored(self, dev):
        return dev.json("queue", "inspect", "deep")["stored_only"]

    def drained(self, dev):
        """All of them ran, each once and before what was submitted last."""
        dev.json("queue", "resume", "deep")
        self.assertEqual(dev.run("submit", "deep", "count").stdout, f"{CALLS + 1}\n")
        self.assertTrue(eventually(lambda: dev.json("queue", "inspect", "deep")["depth"] == 0))
        self.assertEqual(self.stored(dev), 0)
        self.assertEqual(dev.stop(), 0)

    def test_backlog_waits_in_redis_and_is_drained(self):
        dev = self.start()
        calls = self.backlog(dev)
        self.assertEqual(dev.json("queue", "inspect", "deep")["depth"], CALLS)
        self.assertEqual([item["call"] for item in dev.json("call", "ls", "deep")], calls)
        self.assertEqual(dev.json("health")["calls_memory_max"], 1)
        self.drained(dev)

    def test_backlog_survives_a_restart(self):
        dev = self.start()
        self.backlog(dev)
        self.assertEqual(dev.stop(), 0)
        again = self.start()
        self.assertGreater(self.stored(again), CALLS / 2)
        self.drained(again)

    def test_call_that_waits_in_redis_is_cancelled(self):
        dev = self.start()
        calls = self.backlog(dev)
        dev.json("call", "cancel", calls[CALLS // 2])
        self.assertEqual(dev.json("queue", "inspect", "deep")["depth"], CALLS - 1)
        self.assertEqual(dev.json("queue", "purge", "deep")["purged"], CALLS - 1)


if __name__ == "__main__":
    unittest.main()
