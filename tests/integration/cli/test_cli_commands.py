"""Every subcommand against a real system: output, exit codes, one line for an error."""

import json
import subprocess
import time
import unittest

from cli_case import BIN, Dev, SystemCase, environment, eventually, run


class Submit(SystemCase):
    def test_result_is_printed_as_json(self):
        name = self.actor()
        self.assertEqual(self.succeeds("submit", name, "count"), "1\n")
        self.assertEqual(self.succeeds("submit", name, "count"), "2\n")

    def test_task_is_submitted_by_its_name(self):
        self.assertEqual(self.succeeds("submit", "task", "twice", "21"), "42\n")

    def test_negative_numbers_lists_and_texts_are_arguments(self):
        self.assertEqual(self.succeeds("submit", "task", "twice", "-5"), "-10\n")
        self.fails(1, "expected int, got array", "submit", "task", "twice", "[1, 2]")
        self.fails(1, "expected int, got str", "submit", "task", "twice", '"a"')

    def test_bytes_go_both_ways(self):
        self.succeeds("actor", "create", "callboard.Echo", "--name", "echo", "--get-if-exists")
        self.assertEqual(json.loads(self.succeeds("submit", "echo", "echo", '{"$bytes": "AP9o"}')),
                         {"$bytes": "AP9o"})

    def test_text_without_quotes_is_explained(self):
        self.fails(2, "not JSON: hello (a text is written '\"hello\"')",
                   "submit", "task", "twice", "hello")

    def test_exception_of_the_method_is_one_line_with_its_place(self):
        name = self.actor()
        done = self.fails(1, "task_error: std::logic_error: no way",
                          "submit", name, "fail", '"no way"')
        self.assertIn("Napper.fail", done.stderr)

    def test_unknown_targets_methods_and_tasks_are_not_found(self):
        name = self.actor()
        self.fails(4, "unknown_actor", "submit", "nobody", "count")
        self.fails(4, "unknown_method", "submit", name, "fly")
        self.fails(4, "unknown_task", "submit", "task", "thrice", "1")

    def test_deadline_and_timeout_end_with_their_code(self):
        name = self.actor()
        self.fails(6, "goes on", "submit", name, "nap", "1500", "--timeout", "100ms")
        self.fails(6, "expired", "submit", name, "count", "--deadline", "100ms")

    def test_without_waiting_the_id_is_printed_and_the_call_runs(self):
        name = self.actor()
        call = self.dev.json("submit", name, "count", "--no-wait")["call"]
        self.assertRegex(call, "^[0-9a-f]{32}$")
        self.assertEqual(self.succeeds("submit", name, "count"), "2\n")

    def test_call_for_a_time_runs_then_and_times_are_read_as_written(self):
        at = time.time() + 1
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        self.assertEqual(self.succeeds("submit", "task", "twice", "4", "--at", text), "8\n")
        self.assertGreaterEqual(time.time(), int(at))
        past = ("0", "2020-02-29T12:00:00+05:45", "2020-02-29 12:00:00Z")
        for text in past:
            self.assertEqual(self.succeeds("submit", "task", "twice", "1", "--at", text), "2\n")
        for text in ("soon", "2030-02-30T00:00:00Z", "2030-01-01T24:00:00Z", "2030-01-01T00:00:00",
                     "2030-01-01T00:00:00+1"):
            self.fails(2, "a time is written", "submit", "task", "twice", "1", "--at", text)

    def test_refused_call_has_its_own_code(self):
        name = self.actor("--max-pending", "1")
        self.succeeds("submit", name, "nap", "3000", "--no-wait")
        self.fails(5, "queue_full", "submit", name, "count", "--no-wait")

    def test_interrupt_ends_the_wait_and_not_the_call(self):
        name = self.actor()
        waiting = subprocess.Popen(
            [BIN, "--broker", self.dev.info["endpoint"], "submit", name, "nap", "2000"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        self.assertTrue(eventually(lambda: self.dev.json("queue", "inspect", name)["depth"] == 1))
        waiting.send_signal(2)
        _, errors = waiting.communicate(timeout=30)
        self.assertEqual(waiting.returncode, 130)
        self.assertEqual(errors, "callboard: interrupted\n")
        self.assertEqual(self.dev.json("queue", "inspect", name)["depth"], 1)


class Actors(SystemCase):
    def test_created_actor_is_listed_and_killed(self):
        name = self.actor()
        listed = {item["actor"]: item for item in self.dev.json("actor", "ls")}
        self.assertEqual(listed[name]["class"], "Napper")
        self.assertEqual(listed[name]["lifetime"], "detached")
        self.assertEqual(self.dev.json("actor", "kill", name)["actor"], name)
        self.fails(4, "unknown_actor", "actor", "inspect", name)

    def test_name_that_is_taken_is_refused(self):
        name = self.actor()
        self.fails(5, "name_taken", "actor", "create", "Napper", "0", "--name", name)
        again = self.dev.json("actor", "create", "Napper", "0", "--name", name, "--get-if-exists")
        self.assertEqual(again["actor"], name)

    def test_class_that_nobody_offers_is_not_found(self):
        self.fails(4, "unknown_class", "actor", "create", "Nothing")

    def test_constructor_that_throws_fails_the_calls(self):
        self.succeeds("actor", "create", "Napper", "--name", "unborn", "--", "-1")
        done = self.dev.run("submit", "unborn", "count")
        self.assertIn(done.returncode, (1, 4), done.stderr)

    def test_deployment_shows_its_replicas(self):
        name = self.actor("--replicas", "2")
        self.assertTrue(eventually(
            lambda: self.dev.json("deployment", "inspect", name)["alive"] == 2))
        shown = self.dev.json("deployment", "inspect", name)
        self.assertEqual(len({item["pid"] for item in shown["instances"]}), 2)
        self.assertIn(name, [item["deployment"] for item in self.dev.json("deployment", "ls")])

    def test_unnamed_actor_is_reached_by_its_id(self):
        made = self.dev.json("actor", "create", "Napper", "5")
        self.assertEqual(self.succeeds("submit", made["actor"], "count"), "6\n")
        self.succeeds("actor", "kill", made["id"])


class Queues(SystemCase):
    def test_backlog_is_shown_with_its_calls_in_order(self):
        name = self.actor()
        first = self.dev.json("submit", name, "nap", "5000", "--no-wait")["call"]
        calls = [self.dev.json("submit", name, "count", "--no-wait")["call"] for _ in range(3)]
        queue = {item["queue"]: item for item in self.dev.json("queue", "ls")}[name]
        self.assertEqual(queue["depth"], 4)
        listed = self.dev.json("call", "ls", name)
        self.assertEqual([item["call"] for item in listed], [first, *calls])
        self.assertEqual(len(self.dev.json("call", "ls", name, "--limit", "2")), 2)
        table = self.succeeds("queue", "ls").splitlines()
        self.assertTrue(table[0].startswith("QUEUE"))
        self.assertTrue(any(line.startswith(name) for line in table))

    def test_waiting_call_is_explained_in_words(self):
        name = self.actor()
        self.succeeds("submit", name, "nap", "5000", "--no-wait")
        self.succeeds("submit", name, "count", "--no-wait")
        call = self.dev.json("submit", name, "count", "--no-wait")["call"]
        self.assertRegex(self.succeeds("queue", "explain", name), f"{name} holds 3 calls")
        explained = self.dev.json("call", "explain", call)
        self.assertIn(explained["reasons"][0]["code"], ("behind", "running", "busy"))

    def test_paused_queue_says_so_and_goes_on_when_resumed(self):
        name = self.actor()
        self.succeeds("queue", "pause", name)
        call = self.dev.json("submit", name, "count", "--no-wait")["call"]
        self.assertIn(f"{name} is paused", self.succeeds("call", "explain", call))
        self.assertEqual(self.dev.json("queue", "inspect", name)["depth"], 1)
        self.succeeds("queue", "resume", name)
        self.assertTrue(eventually(lambda: self.dev.json("queue", "inspect", name)["depth"] == 0))

    def test_purge_ends_all_that_waits(self):
        name = self.actor()
        self.succeeds("queue", "pause", name)
        for _ in range(3):
            self.succeeds("submit", name, "count", "--no-wait")
        self.assertEqual(self.dev.json("queue", "purge", name)["purged"], 3)
        self.assertEqual(self.dev.json("queue", "inspect", name)["depth"], 0)
        self.succeeds("queue", "resume", name)

    def test_schedule_makes_calls_until_it_is_removed(self):
        name = self.actor()
        made = self.dev.json("schedule", "create", "nightly", "* * * * * *", name, "count",
                             "--zone", "Europe/Berlin", "--catch-up", "skip", "--priority", "3")
        self.assertEqual((made["state"], made["zone"], made["catch_up"], made["target"]),
                         ("active", "Europe/Berlin", "skip", name))
        self.assertTrue(eventually(
            lambda: self.dev.json("schedule", "inspect", "nightly")["made"] >= 1))
        self.assertEqual(self.dev.json("schedule", "pause", "nightly")["state"], "paused")
        self.assertIn("paused", self.succeeds("schedule", "ls"))
        self.assertEqual(self.dev.json("schedule", "resume", "nightly")["state"], "active")
        self.fails(5, "name_taken", "schedule", "create", "nightly", "@daily", name, "count")
        self.succeeds("schedule", "create", "nightly", "@daily", "task", "twice", "1", "--replace")
        self.succeeds("schedule", "rm", "nightly")
        self.fails(4, "no schedule is named nightly", "schedule", "inspect", "nightly")
        self.fails(2, "no minute", "schedule", "create", "x", "61 * * * *", "task", "twice", "1")

    def test_unknown_queue_is_not_found(self):
        for verb in ("inspect", "explain", "pause", "resume", "purge"):
            self.fails(4, "no queue is named nothing", "queue", verb, "nothing")


class Calls(SystemCase):
    def test_cancel_gives_a_definite_answer_and_its_code(self):
        name = self.actor()
        self.succeeds("queue", "pause", name)
        call = self.dev.json("submit", name, "count", "--no-wait")["call"]
        self.assertEqual(self.dev.json("call", "cancel", call)["answer"], "cancelled_before_start")
        self.succeeds("queue", "resume", name)
        done = self.dev.run("call", "cancel", "0" * 15 + "5" + "0" * 15 + "1")
        self.assertEqual(done.returncode, 4)
        self.fails(2, "is not the id of a call", "call", "cancel", "nonsense")

    def test_running_call_shows_its_worker(self):
        name = self.actor()
        call = self.dev.json("submit", name, "nap", "3000", "--no-wait")["call"]
        self.assertTrue(eventually(
            lambda: self.dev.json("call", "inspect", call)["state"] == "leased"))
        shown = self.dev.json("call", "inspect", call)
        self.assertEqual(shown["method"], "nap")
        self.assertIn(shown["worker"], [item["worker"] for item in self.dev.json("worker", "ls")])
        self.assertIn("attempt 1 was sent to", self.succeeds("call", "explain", call))

    def test_call_that_is_gone_is_not_found(self):
        for verb in ("inspect", "explain"):
            self.fails(4, "unknown_call", "call", verb, "0" * 31 + "1")


class Whole(SystemCase):
    def test_workers_offer_what_was_loaded_and_the_echo(self):
        worker = self.dev.json("worker", "ls")[0]["worker"]
        shown = self.dev.json("worker", "inspect", worker)
        self.assertEqual([item["class"] for item in shown["classes"]], ["Napper", "callboard.Echo"])
        self.assertEqual(shown["tasks"], ["twice"])

    def test_health_is_well(self):
        self.assertTrue(self.succeeds("health").startswith("healthy: "))
        health = self.dev.json("health")
        self.assertTrue(health["healthy"])
        self.assertEqual(health["pid"], self.dev.info["pids"]["broker"])
        self.assertEqual(health["redis_pid"], self.dev.info["pids"]["redis"])

    def test_top_shows_queues_and_workers_once(self):
        name = self.actor()
        self.succeeds("submit", name, "count")
        text = self.succeeds("top", "--once", "--interval", "50ms")
        self.assertIn(name, text)
        self.assertNotIn("\x1b", text)
        shown = self.dev.json("top", "--once", "--interval", "50ms")
        self.assertGreaterEqual(shown["accepted"], 1)
        self.assertIn("accepted_per_s", shown)

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([BIN, "--broker", self.dev.info["endpoint"], "queue", "ls"],
                                  stdout=full, stderr=subprocess.PIPE, text=True, env=environment(),
                                  timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "callboard: the output cannot be written\n")


class WithoutBroker(unittest.TestCase):
    def test_no_broker_is_one_line_and_code_three(self):
        for command in (["queue", "ls"], ["health"], ["submit", "a", "b"], ["top", "--once"]):
            done = run(*command, "--broker", "tcp://127.0.0.1:9", "--connect-timeout-ms", "200")
            self.assertEqual(done.returncode, 3, command)
            self.assertEqual(done.stderr,
                             "callboard: no broker answers at tcp://127.0.0.1:9 (waited 200 ms)\n")

    def test_endpoint_that_is_none_is_a_usage_error(self):
        done = run("queue", "ls", "--broker", "nonsense")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_command_lines_that_make_no_sense_say_why(self):
        cases = {("bla",): "no such command: bla", ("queue", "bla"): "no such command: bla",
                 ("queue",): "subcommand", ("queue", "ls", "--frob"): "--frob",
                 ("queue", "inspect"): "queue is required", ("-o", "xml", "queue", "ls"): "xml",
                 ("bench", "roundtrip", "--calls", "0"): "--calls"}
        for arguments, words in cases.items():
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_every_command_has_help(self):
        text = run("--help").stdout
        commands = [line.split()[0] for line in text.partition("Subcommands:")[2].splitlines()
                    if line.startswith("  ")]
        self.assertGreaterEqual(set(commands), {
            "dev", "broker", "worker", "submit", "queue", "actor", "call", "deployment", "top",
            "health", "bench", "config"})
        for command in commands:
            done = run(command, "--help")
            self.assertEqual(done.returncode, 0, command)
            self.assertIn("Usage:", done.stdout)
        self.assertRegex(run("--version").stdout, r"^callboard \d+\.\d+\.\d+\n$")


class UnhealthySystem(unittest.TestCase):
    def test_health_names_the_problem_and_ends_with_one(self):
        dev = Dev("--workers", "0")
        try:
            done = dev.run("health")
            self.assertEqual((done.returncode, done.stdout), (1, "no worker is connected\n"))
            dev.run("actor", "create", "callboard.Echo", "--name", "early")
            dev.run("submit", "early", "echo", '{"$bytes": ""}', "--no-wait")
            self.assertIn("no connected worker offers the class callboard.Echo",
                          dev.run("queue", "explain", "early").stdout)
        finally:
            dev.stop()


if __name__ == "__main__":
    unittest.main()
