"""`callboard doctor`, and what people see when Redis loses what it had."""

import json
import os
import signal
import socket
import subprocess
import unittest

from cli_case import APP, BIN, PATIENCE_S, Dev, SystemCase, environment, eventually, run


def ask_redis(path, *words):
    """Sends one command to the Redis of a system and gives the first line of its answer."""
    request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(path)
        connection.sendall(request.encode())
        return connection.makefile().readline().strip()


class Doctor(SystemCase):
    def examine(self, *arguments):
        done = self.dev.run("doctor", "-o", "json", *arguments)
        answer = json.loads(done.stdout)
        return done.returncode, answer["verdict"], {check["check"]: check
                                                    for check in answer["checks"]}

    def test_names_what_a_crash_of_redis_can_lose(self):
        code, verdict, checks = self.examine()
        self.assertEqual((code, verdict), (0, "warnings"))
        self.assertEqual(checks["persistence"]["verdict"], "warning")
        self.assertIn("everything is lost", checks["persistence"]["text"])
        self.assertEqual(ask_redis(self.dev.info["redis_socket"], "PING"), "+PONG")

    def test_everything_is_looked_at(self):
        _, _, checks = self.examine()
        for check in ("broker", "version", "redis", "eviction", "memory", "timeline", "workers",
                      "clocks", "broker files", "files", "shared memory"):
            self.assertIn(check, checks)
            self.assertNotEqual(checks[check]["verdict"], "problem", checks[check])
        self.assertIn("2 connected", checks["workers"]["text"])

    def test_for_people_it_is_one_line_a_check_and_a_verdict(self):
        out = self.succeeds("doctor")
        self.assertRegex(out.splitlines()[0], "VERDICT +CHECK +WHAT")
        self.assertRegex(out.splitlines()[-1], "^warnings: 0 problems, [0-9]+ warnings$")

    def test_without_a_broker_it_looks_at_this_host_and_ends_with_three(self):
        done = run("--broker", "ipc:///tmp/no-such-broker", "--connect-timeout-ms", "100",
                   "doctor", "-o", "json")
        self.assertEqual(done.returncode, 3, done.stderr)
        checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
        self.assertEqual(checks["broker"]["verdict"], "problem")
        self.assertIn("shared memory", checks)

    def test_policy_in_force_is_in_health_and_top(self):
        self.assertEqual(self.dev.json("health")["fsync"], "off")
        self.assertEqual(self.dev.json("top", "--once", "--interval", "10ms")["fsync"], "off")


class Problems(unittest.TestCase):
    def setUp(self):
        self.dev = Dev("--load", APP, "--workers", "1")
        self.addCleanup(self.dev.stop)
        self.redis = self.dev.info["redis_socket"]

    def test_paused_redis_is_a_problem(self):
        redis = self.dev.info["pids"]["redis"]
        os.kill(redis, signal.SIGSTOP)
        try:
            self.assertTrue(eventually(lambda: self.dev.run("doctor").returncode == 1))
            self.assertIn("problem", self.dev.run("doctor").stdout)
        finally:
            os.kill(redis, signal.SIGCONT)
        self.assertTrue(eventually(lambda: self.dev.run("doctor").returncode == 0))

    def test_emptied_redis_begins_a_timeline_and_acknowledged_calls_are_lost(self):
        self.assertEqual(self.dev.run("actor", "create", "Napper", "0", "--name",
                                      "hits").returncode, 0)
        waiting = subprocess.Popen(
            [BIN, "--broker", self.dev.info["endpoint"], "submit", "hits", "nap", "20000"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(waiting.kill)
        self.assertTrue(eventually(
            lambda: self.dev.json("queue", "inspect", "hits")["running"] == 1))
        broker = self.dev.json("health")["pid"]
        self.assertEqual(ask_redis(self.redis, "FLUSHALL"), "+OK")
        _, errors = waiting.communicate(timeout=PATIENCE_S)
        self.assertEqual(waiting.returncode, 1, errors)
        self.assertIn("lost: ", errors)
        # It is not well while it hears its workers again.
        self.assertTrue(eventually(lambda: self.dev.run("health").returncode == 0))
        health = self.dev.json("health")
        self.assertEqual((health["timeline"], health["times_back"]), (2, 1))
        self.assertEqual(health["pid"], broker)  # it went on by itself
        self.assertIn("went back", self.dev.run("doctor").stdout)
        # What was lost is gone, also at the worker; new work goes on.
        self.assertEqual(self.dev.run("submit", "hits", "count").returncode, 4)
        self.assertEqual(self.dev.run("actor", "create", "Napper", "5", "--name",
                                      "hits").returncode, 0)
        self.assertEqual(self.dev.run("submit", "hits", "count").stdout, "6\n")


if __name__ == "__main__":
    unittest.main()
