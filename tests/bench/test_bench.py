"""bench/run measures what is there, names what is missing, and believes no result unseen."""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock

import zmq

ROOT = pathlib.Path(os.environ["CALLBOARD_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["CALLBOARD_BINARY_DIR"])
sys.path.insert(0, str(ROOT / "bench/runner"))

import measure  # noqa: E402
import report  # noqa: E402
from processes import Failed, Missing, free_port  # noqa: E402
from rows import ROWS, Contestant, Goal, Row  # noqa: E402

ROW = Row("x", "something", [Contestant("a", "fast", {}), Contestant("b", "slow", {}),
                             Contestant("c", "gone", {})],
          [Goal("a", "calls_per_s", "b", 2, True), Goal("a", "p50_us", "b", 2, False),
           Goal("a", "calls_per_s", "c", 2, True)])


class Runs(unittest.TestCase):
    def run_row(self, rounds, fast, slow):
        def gone(build, options):
            raise Missing("it is not installed")
        systems = {"fast": lambda *_: next(fast), "slow": lambda *_: next(slow), "gone": gone}
        run = measure.Run(BUILD, rounds, 1)
        said = io.StringIO()
        with unittest.mock.patch.dict(measure.SYSTEMS, systems), contextlib.redirect_stderr(said):
            run.row(ROW, [ROW])
        return measure.summary_of(run, [ROW]), said.getvalue()

    def test_goals_are_quotients_within_a_round_and_their_median(self):
        def figures(*rates):
            return iter([{"calls_per_s": rate, "p50_us": 10, "p99_us": 20} for rate in rates])
        # The machine was slow in the second round; both were, so the quotient is what it was.
        summary, _ = self.run_row(3, figures(300, 30, 320), figures(100, 10, 100))
        goals = summary["goals"]
        self.assertEqual((goals[0]["value"], goals[0]["met"]), (3, True))
        self.assertEqual((goals[1]["value"], goals[1]["met"]), (1, True))
        median = next(each for each in summary["results"] if each["contestant"] == "a")["median"]
        self.assertEqual(median["calls_per_s"], 300)

    def test_a_goal_that_is_not_reached_is_named_so(self):
        def figures(rate, p50):
            return iter([{"calls_per_s": rate, "p50_us": p50, "p99_us": p50}])
        summary, _ = self.run_row(1, figures(150, 30), figures(100, 10))
        self.assertEqual([goal["met"] for goal in summary["goals"]], [False, False, None])
        self.assertIn("1.50 × b (goal ≥ 2.00): NOT met", report.table(summary))

    def test_what_is_missing_is_skipped_loudly_and_only_once(self):
        def figures():
            return iter([{"calls_per_s": 1, "p50_us": 1, "p99_us": 1}] * 2)
        summary, said = self.run_row(2, figures(), figures())
        self.assertEqual(said.count("!!! SKIPPED: row x, c: it is not installed"), 1)
        self.assertEqual(summary["skipped"][0]["contestant"], "c")
        self.assertIn("SKIPPED c", report.table(summary))

    def test_who_fails_once_has_no_figures_of_earlier_rounds(self):
        def figures(*rates):
            for rate in rates:
                yield {"calls_per_s": rate, "p50_us": 1, "p99_us": 1}
            raise Failed("its results were wrong")
        summary, said = self.run_row(3, figures(1, 2, 3), figures(1))
        self.assertEqual(said.count("!!! FAILED: row x, b: its results were wrong"), 1)
        self.assertEqual([each["contestant"] for each in summary["results"]], ["a"])
        self.assertEqual([goal["met"] for goal in summary["goals"]], [None, None, None])
        self.assertIn("FAILED b: its results were wrong", report.table(summary))
        self.assertEqual([each["failed"] for each in summary["skipped"]], [False, True])

    def test_a_goal_may_compare_with_a_figure_of_another_name(self):
        row = Row("x", "something", ROW.contestants,
                  [Goal("a", "submitted_per_s", "b", 0.5, True, "calls_per_s")])
        run = measure.Run(BUILD, 1, 1)
        run.results = {("x", "a"): [{"submitted_per_s": 60, "calls_per_s": 10}],
                       ("x", "b"): [{"calls_per_s": 100}]}
        self.assertEqual(measure.value_of(run, row, row.goals[0]), 0.6)

    def test_rows_name_only_contestants_that_they_have(self):
        for row in ROWS:
            names = [each.name for each in row.contestants]
            self.assertEqual(len(names), len(set(names)), row.key)
            for goal in row.goals:
                self.assertLessEqual({goal.who, *filter(None, goal.base.split("|"))}, set(names))


class Load(unittest.TestCase):
    """The load program of the relays against a relay of this test."""

    def load(self, answer, *options):
        port, context = free_port(), zmq.Context.instance()
        socket = context.socket(zmq.ROUTER)
        socket.bind(f"tcp://127.0.0.1:{port}")
        done = threading.Event()

        def serve():
            while not done.is_set():
                if socket.poll(50):
                    peer, message = socket.recv_multipart()
                    for sent_back in answer(message):
                        socket.send_multipart([peer, sent_back])
            socket.close(0)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return subprocess.run([BUILD / "bench/bench_relay", "load", "--front",
                                   f"tcp://127.0.0.1:{port}", "--batch", "1", "--calls", "50",
                                   "--window", "10", *options], capture_output=True, text=True,
                                  timeout=60)
        finally:
            done.set()
            thread.join()

    def test_results_that_nobody_looked_at_are_not_believed(self):
        done = self.load(lambda message: [message])
        self.assertEqual(done.returncode, 1)
        self.assertIn('"landed": 0, "damaged": 100,', done.stdout)  # with the warm-up

    def test_lost_results_end_the_measurement_after_its_time(self):
        done = self.load(lambda message: [], "--timeout", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("did not warm up in time", done.stderr)

    def test_a_whole_run_prints_a_table_and_writes_json_and_a_plot(self):
        with tempfile.TemporaryDirectory() as folder:
            out, plot = pathlib.Path(folder, "out.json"), pathlib.Path(folder, "out.svg")
            done = subprocess.run([sys.executable, ROOT / "bench/run", "--build", BUILD, "--rows",
                                   "1", "--rounds", "1", "--scale", "0.01", "-o", out, "--svg",
                                   plot], capture_output=True, text=True, timeout=100)
            self.assertEqual(done.returncode, 0, done.stderr)
            summary = json.loads(out.read_text())
            names = [each["contestant"] for each in summary["results"]]
            self.assertEqual(names[:2], ["relay", "Callboard, memory"])
            self.assertIsNotNone(summary["goals"][0]["value"])
            self.assertIn("Callboard, memory", plot.read_text())

    def test_a_backlog_is_submitted_without_a_worker_and_drained_by_one(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "out.json")
            done = subprocess.run([sys.executable, ROOT / "bench/run", "--build", BUILD, "--rows",
                                   "7", "--rounds", "1", "--scale", "0.005", "-o", out],
                                  capture_output=True, text=True, timeout=100)
            self.assertEqual(done.returncode, 0, done.stderr)
            found = next(each["median"] for each in json.loads(out.read_text())["results"]
                         if each["contestant"] == "backlog")
            self.assertEqual((found["calls"], found["landed"]), (5000, 5000))
            self.assertGreater(found["submitted_per_s"], 0)
            self.assertGreater(found["redis_beyond_payload"], 0)


if __name__ == "__main__":
    unittest.main()
