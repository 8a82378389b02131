"""Calls for a time, and schedules, as a client in another language asks for them: the option `at`
of docs/protocol.md and the verbs of docs/admin.md."""

import time
import unittest

import callboard_client as cb
from protocol_case import INVALID_OPTION, NAME_TAKEN, ProtocolCase, UNKNOWN_ACTOR

EVERY_SECOND = "* * * * * *"


def now_ms():
    return time.time_ns() // 1_000_000


class Times(ProtocolCase):
    def test_a_call_for_a_time_begins_then_and_holds_up_nobody(self):
        client = self.client()
        notes = self.notes(client)
        at = now_ms() + 700
        later = client.submit(notes, "append", ["later"], {cb.AT: at})
        now = client.submit(notes, "append", ["now"])
        self.assertEqual(now.result(), 1)
        self.assertEqual(later.result(), 2)
        self.assertGreaterEqual(now_ms(), at)

    def test_a_time_that_has_passed_is_now(self):
        client = self.client()
        call = client.submit(self.toolbox(client), "add", [1, 2], {cb.AT: 0})
        self.assertEqual(call.result(), 3)

    def test_a_delay_and_a_time_together_are_refused(self):
        client = self.client()
        call = client.submit(self.toolbox(client), "add", [1, 2],
                             {cb.AT: now_ms(), cb.DELAY: 10})
        self.assert_fails(INVALID_OPTION, call)

    def test_a_call_for_a_time_outlives_the_broker_and_runs_once(self):
        client = self.client()
        notes = self.notes(client, {cb.NAME: "patient"})
        at = now_ms() + 1500
        later = client.submit(notes, "append", ["later"], {cb.AT: at})
        client.wait_for(lambda: later.acknowledged, 5, "accepted")
        self.system.kill_broker()
        self.system.start_broker()
        client.connect()
        self.assertEqual(later.result(20.0), 1)
        self.assertGreaterEqual(now_ms(), at)
        self.assertEqual(client.submit(notes, "all").result(), ["later"])


class Schedules(ProtocolCase):
    def setUp(self):
        self.asker = self.client()

    def ask(self, verb, **info):
        code, answer = self.asker.admin("schedule." + verb, info)
        self.assertEqual(code, cb.OK, answer)
        return answer

    def refused(self, verb, **info):
        code, _ = self.asker.admin("schedule." + verb, info)
        return code

    def create(self, name, queue, **more):
        answer = self.ask("create", schedule=name, cron=EVERY_SECOND, target=queue,
                          method="append", args=["tick"], **more)
        self.addCleanup(lambda: self.asker.admin("schedule.rm", {"schedule": name}))
        return answer

    def actor(self, name):
        notes = self.notes(self.asker, {cb.NAME: name})
        return lambda: self.asker.submit(notes, "all").result()

    def until(self, condition):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end)
            self.asker.pump(0.05)

    def test_calls_are_made_until_the_schedule_is_removed(self):
        ticks = self.actor("ticking")
        made = self.create("tick", "ticking", options={cb.PRIORITY: 3, cb.MAX_RETRIES: 0})
        self.assertEqual((made["state"], made["made"], made["zone"]), ("active", 0, "UTC"))
        self.until(lambda: ticks() == ["tick", "tick"])
        told = self.ask("inspect", schedule="tick")
        self.assertGreaterEqual(told["made"], 2)
        self.assertEqual(told["next_ms"] - told["last_ms"], 1000)
        self.assertEqual([item["schedule"] for item in self.ask("ls")["items"]], ["tick"])
        self.ask("rm", schedule="tick")
        made = len(ticks())
        self.asker.pump(0.2)
        time.sleep(1.2)
        self.assertLessEqual(len(ticks()) - made, 1, "at most what was on its way")
        self.assertEqual(self.refused("inspect", schedule="tick"), UNKNOWN_ACTOR)

    def test_a_pause_outlives_the_broker_and_what_was_due_meanwhile_is_left_out(self):
        ticks = self.actor("pausing")
        self.create("paused", "pausing", catch_up="all")
        self.assertEqual(self.ask("pause", schedule="paused")["state"], "paused")
        before = len(ticks())
        self.system.kill_broker()
        time.sleep(1.2)
        self.system.start_broker()
        self.asker.connect()
        self.assertEqual(self.ask("inspect", schedule="paused")["state"], "paused")
        self.assertEqual(len(ticks()), before)
        self.ask("resume", schedule="paused")
        self.until(lambda: len(ticks()) > before)
        self.assertLessEqual(len(ticks()), before + 2, "a call for each second would be more")

    def test_each_due_time_that_no_broker_saw_is_made_up_for_once(self):
        ticks = self.actor("catching-up")
        made = self.create("caught", "catching-up", catch_up="all", catch_up_max=1000)
        self.until(lambda: ticks())
        self.system.kill_broker()
        time.sleep(2.5)
        self.system.start_broker()
        self.asker.connect()
        first = (made["created_ms"] // 1000 + 1) * 1000
        self.until(lambda: self.ask("inspect", schedule="caught")["last_ms"] >= first + 4000)
        end = self.ask("pause", schedule="caught")
        self.assertEqual(end["made"], (end["last_ms"] - first) // 1000 + 1)
        self.until(lambda: len(ticks()) == end["made"])
        self.asker.pump(0.2)
        self.assertEqual(len(ticks()), end["made"])

    def test_a_task_may_be_the_target(self):
        self.ask("create", schedule="joins", cron=EVERY_SECOND, task="join", args=["a", "b"])
        self.until(lambda: self.ask("inspect", schedule="joins")["made"] >= 1)
        self.ask("rm", schedule="joins")

    def test_the_same_again_changes_nothing_and_another_one_needs_replace(self):
        self.actor("owner")
        first = self.create("mine", "owner")
        again = self.ask("create", schedule="mine", cron=EVERY_SECOND, target="owner",
                         method="append", args=["tick"])
        self.assertEqual(again["created_ms"], first["created_ms"])
        other = {"schedule": "mine", "cron": "@daily", "target": "owner", "method": "append",
                 "args": ["x"], "zone": "Europe/Berlin"}
        self.assertEqual(self.refused("create", **other), NAME_TAKEN)
        self.assertEqual(self.ask("create", **other, replace=True)["zone"], "Europe/Berlin")

    def test_what_makes_no_sense_is_refused(self):
        self.actor("target")
        good = {"schedule": "s", "cron": "@daily", "target": "target", "method": "append",
                "args": ["x"]}
        for wrong in ({"cron": "* * *"}, {"cron": "0 0 31 2 *"}, {"zone": "Mars/Olympus"},
                      {"schedule": "a b"}, {"catch_up": "some"}, {"options": {cb.DELAY: 5}},
                      {"options": {cb.AT: 5}}, {"options": {cb.DURABILITY: cb.MEMORY}},
                      {"args": "x"}, {"task": "join"}, {"catch_up_max": 1001}):
            self.assertEqual(self.refused("create", **{**good, **wrong}), INVALID_OPTION, wrong)
        self.assertEqual(self.refused("create", **{**good, "target": "nobody"}), UNKNOWN_ACTOR)
        self.assertEqual(self.ask("ls")["items"], [])


if __name__ == "__main__":
    unittest.main()
