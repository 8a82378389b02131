"""run_demos as people run it: all demos, its verdict and exit status, Ctrl-C; and the first actor
of the README, word for word."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import unittest

RUN_DEMOS = os.environ["CALLBOARD_RUN_DEMOS"]
SOURCE = pathlib.Path(os.environ["CALLBOARD_SOURCE_DIR"])
ENDPOINT = re.compile(r"tcp://127\.0\.0\.1:(\d+)")


def run_demos(*arguments, limit=200):
    return subprocess.run([RUN_DEMOS, *arguments], capture_output=True, text=True, timeout=limit)


def somebody_listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class RunDemos(unittest.TestCase):
    def test_all_eight_demos_show_what_they_promise(self):
        done = run_demos()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1], "8 of 8 demos show what they promise")
        self.assertEqual(done.stderr, "")
        port = int(ENDPOINT.search(done.stdout).group(1))
        self.assertFalse(somebody_listens(port), "the broker is still there")

    def test_named_demos_are_run_and_no_others(self):
        done = run_demos("order", "balancer")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1], "2 of 2 demos show what they promise")

    def test_an_unknown_demo_is_a_usage_error(self):
        self.assertNotEqual(run_demos("juggling").returncode, 0)

    def test_a_demo_that_fails_is_named_and_fails_the_run(self):
        with subprocess.Popen([os.environ["CALLBOARD_BIN"], "dev", "--port", "0",
                               "--load", os.environ["CALLBOARD_HELLO"]],
                              stdout=subprocess.PIPE, text=True) as system:
            try:
                lines = iter(system.stdout.readline, "")
                endpoint = next(ENDPOINT.search(line).group(0) for line in lines
                                if ENDPOINT.search(line))
                # Its worker has loaded another library, so that nobody has the class.
                done = run_demos("order", "--broker", endpoint)
            finally:
                system.send_signal(signal.SIGINT)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("FAILED order: unknown_class", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1],
                         "0 of 1 demos show what they promise; not: order")

    def test_ctrl_c_ends_everything_that_was_started(self):
        with subprocess.Popen([RUN_DEMOS, "sleepers"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as demos:
            port = int(ENDPOINT.search(demos.stdout.readline()).group(1))
            self.assertTrue(somebody_listens(port))
            time.sleep(0.5)
            demos.send_signal(signal.SIGINT)
            self.assertEqual(demos.wait(timeout=30), 130)
        self.assertFalse(somebody_listens(port), "the broker is still there")


class FirstActor(unittest.TestCase):
    def test_the_readme_has_the_files_of_hello_word_for_word(self):
        readme = (SOURCE / "README.md").read_text()
        lines = 0
        for name in ("counter.hpp", "counter.cpp", "client.cpp"):
            text = (SOURCE / "examples/hello" / name).read_text()
            self.assertIn(f"```cpp\n{text}```\n", readme, name)
            lines += text.count("\n")
        self.assertLess(lines, 30)

    def test_the_first_client_counts_from_eleven(self):
        if somebody_listens(7700):
            self.skipTest("port 7700, which the first client names, is in use")
        with subprocess.Popen([os.environ["CALLBOARD_BIN"], "dev", "--port", "7700",
                               "--load", os.environ["CALLBOARD_HELLO"]],
                              stdout=subprocess.PIPE, text=True) as system:
            try:
                system.stdout.readline()
                client = os.environ["CALLBOARD_HELLO_CLIENT"]
                said = [subprocess.run([client], capture_output=True, text=True,
                                       timeout=30).stdout for _ in range(3)]
            finally:
                system.send_signal(signal.SIGINT)
        self.assertEqual(said, ["11\n", "12\n", "13\n"])
