"""The judge catches what it must; and a minute of everything that breaks breaks no promise."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from history import History

HERE = pathlib.Path(__file__).parent
SECONDS = os.environ.get("CALLBOARD_CHAOS_SECONDS", "60")
SEED = os.environ.get("CALLBOARD_CHAOS_SEED", "1")


class Judge(unittest.TestCase):
    def judge(self, client, executions, killed=False, pause=None, lossy=False):
        history = History(lossy)
        if pause:
            history.add_pause(*pause)
        with tempfile.TemporaryDirectory() as directory:
            for name, lines in (("client", client), ("executions", executions)):
                pathlib.Path(directory, name).write_text("".join(f"{line}\n" for line in lines))
            history.read_client(pathlib.Path(directory, "client"), killed)
            history.read_executions(pathlib.Path(directory, "executions"))
        return " | ".join(history.judge())

    def test_what_is_right_is_right(self):
        self.assertEqual(self.judge(
            ["S a:1 once 100", "S a:2 once 100", "R a:1 ok a:1 9", "R a:2 maybe_executed - 9",
             "E 0"],
            ["X a:1 7 1 1 100", "Y a:1 7"]), "")

    def test_second_run_of_an_at_most_once_call_is_caught(self):
        self.assertIn("ran 2 times", self.judge(
            ["S a:1 once 100", "R a:1 ok a:1 9", "E 0"],
            ["X a:1 7 1 1 100", "Y a:1 7", "X a:1 8 2 1 200"]))

    def test_answer_without_a_run_is_caught(self):
        self.assertIn("never ran", self.judge(["S a:1 task 100", "R a:1 ok a:1 9", "E 0"], []))

    def test_call_without_an_answer_is_caught(self):
        self.assertIn("answered 0 times", self.judge(["S a:1 task 100", "E 1"], []))

    def test_client_that_did_not_end_is_caught(self):
        self.assertIn("did not end", self.judge([], []))

    def test_order_that_was_broken_is_caught(self):
        self.assertIn("began after number 2", self.judge(
            ["S a:1 once 1", "S a:2 once 1", "R a:1 ok a:1 9", "R a:2 ok a:2 9", "E 0"],
            ["X a:2 7 1 1 100", "Y a:2 7", "X a:1 7 1 1 100", "Y a:1 7"]))

    def test_two_at_once_in_a_serial_actor_are_caught(self):
        self.assertIn("began while", self.judge(
            ["S a:1 once 1", "S a:2 once 1", "R a:1 ok a:1 9", "R a:2 ok a:2 9", "E 0"],
            ["X a:1 7 1 1 100", "X a:2 7 1 1 100", "Y a:1 7", "Y a:2 7"]))

    def test_epoch_that_falls_is_caught(self):
        self.assertIn("began in epoch 1 after 2", self.judge(
            ["S a:1 once 1", "S a:2 once 1", "R a:1 ok a:1 9", "R a:2 ok a:2 9", "E 0"],
            ["X a:1 7 2 1 100", "Y a:1 7", "X a:2 8 1 1 100", "Y a:2 8"]))

    def test_process_that_was_stopped_may_note_one_begin_late(self):
        late = (["S a:1 again 1", "S a:2 again 1", "R a:1 ok a:1 9", "R a:2 ok a:2 9", "E 0"],
                ["X a:1 7 2 1 100", "Y a:1 7", "X a:2 7 2 1 100", "Y a:2 7",
                 "X a:2 8 1 1 200", "Y a:2 8"])
        self.assertIn("began in epoch 1 after 2", self.judge(*late))
        self.assertEqual(self.judge(*late, pause=(8, 50, 190)), "")
        self.assertIn("began in epoch 1 after 2", self.judge(*late, pause=(9, 50, 190)))
        more = ["X a:2 8 1 1 210", "Y a:2 8"]
        self.assertIn("began in epoch 1 after 2",
                      self.judge(late[0], late[1] + more, pause=(8, 50, 190)))

    def test_lanes_of_one_actor_are_judged_for_order_alone_and_for_overlap_together(self):
        client = ["S a.0:1 prio 1", "S a.1:2 prio 1", "R a.0:1 ok a.0:1 9", "R a.1:2 ok a.1:2 9",
                  "E 0"]
        self.assertEqual(self.judge(client, ["X a.1:2 7 1 1 100", "Y a.1:2 7",
                                             "X a.0:1 7 1 1 100", "Y a.0:1 7"]), "")
        self.assertIn("began while", self.judge(
            client, ["X a.1:2 7 1 1 100", "X a.0:1 7 1 1 100", "Y a.0:1 7", "Y a.1:2 7"]))

    def test_call_that_overtakes_a_failed_one_is_caught(self):
        client = ["S a:1 stumble 1", "S a:2 stumble 1", "R a:1 ok a:1 9", "R a:2 ok a:2 9", "E 0"]
        self.assertEqual(self.judge(client, ["X a:1 7 1 1 100", "F a:1 7", "X a:1 7 1 2 100",
                                             "Y a:1 7", "X a:2 7 1 1 100", "Y a:2 7"]), "")
        self.assertIn("before the failed a:1", self.judge(
            client, ["X a:1 7 1 1 100", "F a:1 7", "X a:2 7 1 1 100", "Y a:2 7", "X a:1 7 1 2 100",
                     "Y a:1 7"]))

    def test_attempt_beyond_the_budget_is_caught(self):
        runs = [line for n in range(4) for line in (f"X a:1 7 0 {n} 100", "F a:1 7")]
        client = ["S a:1 fail 1", "R a:1 task_error - 9", "E 0"]
        self.assertEqual(self.judge(client, runs[:6]), "")
        self.assertIn("its budget is 3", self.judge(client, runs))

    def test_error_that_no_run_made_is_caught(self):
        self.assertIn("told of an error and never ran", self.judge(
            ["S a:1 fail 1", "R a:1 task_error - 9", "E 0"], []))

    def test_refused_call_that_ran_is_caught(self):
        client = ["S a:1 once 1", "R a:1 store_full - 9", "E 0"]
        self.assertEqual(self.judge(client, []), "")
        self.assertIn("was refused and ran", self.judge(client, ["X a:1 7 1 1 100", "Y a:1 7"]))

    def test_calls_of_a_killed_client_may_stay_without_an_answer_and_run_once(self):
        client = ["S a:1 once 1", "S a:2 once 1"]
        runs = ["X a:1 7 1 1 100", "Y a:1 7"]
        self.assertEqual(self.judge(client, runs, killed=True), "")
        self.assertIn("ran 2 times", self.judge(client, runs + ["X a:1 7 2 1 100", "Y a:1 7"],
                                                killed=True))

    def test_what_a_lossy_store_forgot_is_counted_and_the_rest_is_judged(self):
        lost = ["S a:1 once 1", "R a:1 lost - 9", "E 0"]
        twice = ["X a:1 7 1 1 100", "Y a:1 7", "X a:1 8 2 1 200", "Y a:1 8"]
        self.assertEqual(self.judge(lost, twice, lossy=True), "")
        self.assertIn("answered 0 times", self.judge(["S a:1 once 1", "E 1"], [], lossy=True))
        self.assertIn("never ran",
                      self.judge(["S a:1 task 1", "R a:1 ok a:1 9", "E 0"], [], lossy=True))

    def test_outcome_that_the_contract_does_not_know_is_caught(self):
        self.assertIn("ended with lost", self.judge(
            ["S a:1 task 1", "R a:1 lost - 9", "E 0"], []))
        self.assertIn("ended with poisoned", self.judge(
            ["S a:1 task 1", "R a:1 poisoned - 9", "E 0"], ["X a:1 7 0 1 100"]))

    def test_delayed_call_that_begins_early_is_caught(self):
        self.assertIn("after its submit", self.judge(
            ["S a:1 later 1000", "R a:1 ok a:1 9", "E 0"], ["X a:1 7 1 1 1100", "Y a:1 7"]))

    def test_answers_of_one_key_that_differ_are_caught(self):
        self.assertIn("answers differ", self.judge(
            ["S a:1 keyed 1", "S a:1 keyed 1", "R a:1 ok a:1 9", "R a:1 maybe_executed - 9", "E 0"],
            ["X a:1 7 1 1 100", "Y a:1 7"]))

    def test_wrong_value_is_caught(self):
        self.assertIn("was told the value", self.judge(
            ["S a:1 task 1", "R a:1 ok a:2 9", "E 0"], ["X a:1 7 1 1 100", "Y a:1 7"]))


class Chaos(unittest.TestCase):
    def test_every_promise_holds_while_everything_breaks(self):
        done = subprocess.run(
            [sys.executable, HERE / "chaos.py", "--seconds", SECONDS, "--seed", SEED],
            capture_output=True, text=True, timeout=int(SECONDS) + 400)
        print(done.stdout, end="")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
