"""bench measures what it says, of everybody who takes part."""

import json
import pathlib
import tempfile
import unittest

from cli_case import Dev, run


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

    def test_submit_measures_how_fast_calls_are_accepted(self):
        found = self.figures("submit", "--embedded", "--calls", "5000")
        self.assert_makes_sense(found)
        self.assertNotIn("relay", found)

    def test_compare_says_what_has_changed_and_refuses_a_run_of_another_kind(self):
        with tempfile.TemporaryDirectory() as folder:
            earlier = pathlib.Path(folder, "earlier.json")
            then = self.figures("relay", "--calls", "2000", "--window", "10")
            for relay in then["relay"]:
                relay["p50_us"] = 1e9  # so that it is known what must come out
            earlier.write_text(json.dumps(then))
            now = self.figures("relay", "--calls", "2000", "--window", "10", "--compare",
                               str(earlier))
            for relay in now["relay"]:
                self.assertLess(relay["compared"]["p50_us"], 0.01)
                self.assertGreater(relay["compared"]["calls_per_s"], 0)
            other = run("bench", "relay", "--calls", "2000", "--window", "11", "--compare",
                        str(earlier))
            self.assertEqual(other.returncode, 2)
            self.assertIn("the earlier run had window 10, this one has 11", other.stderr)
            earlier.write_text("no figures")
            self.assertEqual(run("bench", "relay", "--compare", str(earlier)).returncode, 2)

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
