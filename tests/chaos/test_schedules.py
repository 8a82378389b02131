"""A schedule on real processes: brokers are killed and ended, and each due time has one call."""

import json
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from chaos_case import ChaosCase, until  # noqa: E402


class Schedules(ChaosCase):
    workers = 1

    def create(self, name, *more):
        answer = self.system.ask("schedule", "create", name, "* * * * * *", "task", "chaos.note",
                                 json.dumps(str(self.system.executions)), json.dumps(name), "0",
                                 "--max-retries", "0", *more)
        self.assertIsNotNone(answer)
        return json.loads(answer)

    def inspect(self, name):
        return json.loads(self.system.ask("schedule", "inspect", name))

    def executions(self, name):
        """The due times of the calls that ran, in milliseconds."""
        with open(self.system.executions) as lines:
            words = [line.split()[1] for line in lines if line.startswith(f"X {name}@")]
        return [int(word.split("@")[1]) for word in words]

    def test_each_due_time_has_one_call_whatever_becomes_of_the_brokers(self):
        # Not next_ms: what is printed was asked for after the creation.
        made_ms = self.create("every", "--catch-up", "all", "--catch-up-max", "1000")["created_ms"]
        first = (made_ms // 1000 + 1) * 1000
        self.create("paused")
        self.assertIsNotNone(self.system.ask("schedule", "pause", "paused"))
        made_before = self.inspect("paused")["made"]  # a second may have passed since its creation
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            time.sleep(2)
            broker = self.serving()
            broker.end(number)
            broker.start()
            self.assertTrue(until(lambda: self.system.ask("health"), 30), "no broker takes over")
        for broker in self.system.brokers:  # nobody serves for a while
            broker.end(signal.SIGKILL)
        time.sleep(2)
        for broker in self.system.brokers:
            broker.start()
        self.assertTrue(until(lambda: self.system.ask("health"), 30))
        made = self.inspect("every")["made"]
        self.assertTrue(until(lambda: self.inspect("every")["made"] > made, 30))
        self.assertIsNotNone(self.system.ask("schedule", "pause", "every"))
        end = self.inspect("every")
        self.assertEqual(end["made"], (end["last_ms"] - first) // 1000 + 1)
        self.assertGreater(end["made"], 8)
        # At most once: what was on its way to the worker when a broker was killed may be in doubt.
        self.assertTrue(until(lambda: len(self.executions("every")) >= end["made"] - 4, 30))
        time.sleep(1)
        ran = self.executions("every")
        self.assertEqual(len(ran), len(set(ran)), "a due time ran twice")
        self.assertLessEqual(set(ran), set(range(first, end["last_ms"] + 1, 1000)))
        self.assertEqual(self.inspect("paused")["made"], made_before)
        self.assertLessEqual(len(self.executions("paused")), made_before)
        self.assertEqual(self.inspect("paused")["state"], "paused")
        self.assertIsNotNone(self.system.ask("schedule", "rm", "every"))
        self.assertEqual([item["schedule"] for item in json.loads(self.system.ask(
            "schedule", "ls"))], ["paused"])


if __name__ == "__main__":
    unittest.main()
