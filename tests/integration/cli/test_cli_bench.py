"""bench measures what it says, of everybody who takes part."""

import json
import pathlib
import signal
import subprocess
import tempfile
import unittest

from cli_case import BIN, Dev, descendants, environment, eventually, lives, run


def is_relay(pid):
    try:
        return b"relay-part" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class Bench(unittest.TestCase):
    def figures(self, *arguments):
        done = run("bench", *arguments, "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def assert_makes_sense(self, figures):
        self.assertGreater(figures["calls_per_s"], 0)
        self.assertGreater(figures["p50_us"], 0)
        self.assertGreaterEqual(figures["p99_us"], figures["p50_us"])

    def test_roundtrip_measures_all_processes_and_the_relay_beside_it(self):
        for durability in ("durable", "memory"):
            found = self.figures("roundtrip", "--embedded", "--calls", "3000", "--window", "100",
                                 "--actors", "3", "--workers", "2", "--durability", durability)
            self.assert_makes_sense(found)
            self.assertEqual(found["durability"], durability)
            self.assertEqual(list(found["cpu_us_per_call"]),
                             ["client", "broker", "redis", "workers"])
            self.assertNotIn(None, found["cpu_us_per_call"].values())
            self.assertEqual([relay["batch"] for relay in found["relay"]], [1, 100])
            for relay in found["relay"]:
                self.assert_makes_sense(relay)
                self.assertEqual((relay["calls"], relay["window"]), (3000, 100))

    def test_window_of_one_sends_one_call_at_a_time(self):
        found = self.figures("roundtrip", "--embedded", "--calls", "200", "--window", "1")
        # One after the other, no more can be done than the time of one allows.
        self.assertLess(found["calls_per_s"] * found["p50_us"], 2.5e6)

    def test_payload_measures_big_values_beside_a_memcpy(self):
        found = self.figures("payload", "--embedded", "--bytes", "10000000", "--rounds", "1")
        self.assertEqual([row["bytes"] for row in found["rows"]], [65536, 1048576, 67108864])
        for row in found["rows"]:
            for key in ("in_gb_per_s", "echo_gb_per_s", "memcpy_gb_per_s", "in_of_memcpy"):
                self.assertGreater(row[key], 0, key)

    def test_interrupt_while_the_relay_is_measured_leaves_nothing_behind(self):
        bench = subprocess.Popen([BIN, "bench", "relay", "--calls", "1000000", "--window", "1"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=environment())
        relays = []
        self.assertTrue(eventually(lambda: relays.extend(filter(is_relay, descendants(bench.pid)))
                                   or len(relays) > 0))
        started = descendants(bench.pid)
        bench.send_signal(signal.SIGINT)
        _, errors = bench.communicate(timeout=60)
        self.assertEqual((bench.returncode, errors), (130, "callboard: interrupted\n"))
        self.assertTrue(eventually(lambda: not any(map(lives, started))))

    def test_submit_measures_how_fast_calls_are_accepted(self):
        found = self.figures("submit", "--embedded", "--calls", "5000")
        self.assert_makes_sense(found)
        self.assertNotIn("relay", found)

    def test_overload_refuses_what_is_too_much_and_says_when_to_try_again(self):
        # 2 x 1000 calls wait at most, and each takes a millisecond: far more than that is asked.
        found = self.figures("overload", "--embedded", "--rounds", "1", "--seconds", "1",
                             "--work-us", "1000", "--times", "20", "--durability", "memory")
        self.assertGreater(found["peak_per_s"], 0)
        self.assertGreater(found["goodput_per_s"], 0)
        self.assertGreater(found["refused_per_s"], 0)
        self.assertEqual(found["refusals_without_retry_after"], 0)
        self.assertEqual(found["failed"], 0)
        self.assertGreaterEqual(found["refusal_p99_us"], found["refusal_p50_us"])
        self.assertEqual(len(found["goodput_percent_of_each_round"]), 1)

    def test_compare_says_what_has_changed_since_a_file_was_written(self):
        relay = ("relay", "--calls", "2000", "--window", "10")
        with tempfile.TemporaryDirectory() as folder:
            earlier = pathlib.Path(folder, "earlier.json")
            written = self.figures(*relay, "--json", str(earlier))
            self.assertEqual(json.loads(earlier.read_text()), written)
            written["relay"][0]["p50_us"] = 1e9  # so that it is known what must come out
            earlier.write_text(json.dumps(written))
            found = self.figures(*relay, "--compare", str(earlier))
            changes = {row["figure"]: row for row in found["compared"]}
            slow = changes["relay, 1 in a frame: p50_us"]
            self.assertEqual((slow["then"], slow["change_percent"]), (1e9, -100))
            self.assertEqual(slow["now"], found["relay"][0]["p50_us"])
            self.assertIn("relay, 100 in a frame: cpu_us_per_call relay", changes)
            self.assertNotIn("relay, 1 in a frame: calls", changes)
            shown = run("bench", *relay, "--compare", str(earlier))
            self.assertRegex(shown.stdout, r"in a frame: p50_us +1,000,000,000 +\S+ +-100.0 %")

    def test_compare_refuses_figures_of_something_else_before_it_measures(self):
        with tempfile.TemporaryDirectory() as folder:
            earlier = pathlib.Path(folder, "earlier.json")
            self.figures("relay", "--calls", "500", "--window", "10", "--json", str(earlier))

            def refusal(*arguments):
                done = run("bench", *arguments, "--compare", str(earlier))
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                return done.stderr
            self.assertIn("the earlier run had window 10, this one has 11",
                          refusal("relay", "--window", "11"))
            self.assertIn("the earlier run had bench relay, this one has submit",
                          refusal("submit", "--embedded", "--window", "10"))
            earlier.write_text("no figures")
            self.assertIn("is not what callboard bench --json writes", refusal("relay"))
            earlier.unlink()
            self.assertIn("No such file", refusal("relay"))

    def test_figures_that_cannot_be_written_are_an_error(self):
        done = run("bench", "relay", "--calls", "100", "--json", "/proc/no/such/folder")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write /proc/no/such/folder", done.stderr)

    def test_existing_system_is_measured_too_and_lives_on(self):
        dev = Dev()
        try:
            done = dev.run("bench", "roundtrip", "--calls", "500", "--payload", "20000")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("roundtrip, durable", done.stdout)
            self.assertIn("relay, 100 in a frame", done.stdout)
            self.assertEqual(dev.run("health").returncode, 0)
        finally:
            dev.stop()


if __name__ == "__main__":
    unittest.main()
