"""A worker in another language, written from docs/protocol.md, against the real broker."""

import itertools
import time
import unittest

import callboard_client as cb
from callboard_worker import Supervisor, Worker
from protocol_case import CONSTRUCTOR_FAILED, ProtocolCase, TASK_ERROR

MAYBE_EXECUTED, POISONED = 3, 17


class Counter:
    def __init__(self, start):
        if start < 0:
            raise ValueError("it cannot be negative")
        self.total = start
        self.calls = 0

    def add(self, n):
        self.calls += 1
        self.total += n
        return self.total

    def stutter(self, n):
        """Fails at its first try for each n."""
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("not yet")
        return n

    def size(self, data):
        return len(data)

    def blow_up(self, n):
        return b"b" * n


METHODS = ["add", "stutter", "size", "blow_up"]


def join(a, b):
    return a + b


class WorkerCase(ProtocolCase):
    worker = False

    numbers = itertools.count(1)

    def new_worker(self, name=None, **options):
        # The goodbye of an earlier test's worker may still be under way: no name is used twice.
        name = name or f"py-{next(self.numbers)}"
        options = {"classes": {"Counter": Counter}, "tasks": {"join": join}, **options}
        worker = Worker(self.system.endpoint, name, **options)
        self.addCleanup(worker.close)
        return worker

    def drive(self, condition, *everyone, work=True, timeout=10.0):
        """Lets clients and workers talk (and work) until the condition holds."""
        end = time.monotonic() + timeout
        while not condition():
            self.assertLess(time.monotonic(), end, "it did not come to that")
            for one in everyone:
                one.pump(0.002)
                if work and isinstance(one, Worker):
                    one.work()

    def result(self, call, *workers, timeout=10.0):
        self.drive(lambda: call.ended, call.client, *workers, timeout=timeout)
        return call.result(0)

    def counter(self, client, worker, start=0, options=None):
        handle = client.create("Counter", [start], METHODS, options, wait=False)
        self.drive(lambda: handle.answer is not None, client, worker)
        self.assertEqual(handle.answer[0], cb.OK, handle.answer)
        return handle


class Running(WorkerCase):
    def test_tasks_and_actors_run_in_another_language(self):
        worker, client = self.new_worker(), self.client()
        call = client.submit(client.task("join"), None, ["a", "b"])
        self.assertEqual(self.result(call, worker), "ab")
        counter = self.counter(client, worker, 10)
        calls = [client.submit(counter, "add", [1]) for _ in range(50)]
        self.assertEqual([self.result(call, worker) for call in calls], list(range(11, 61)))

    def test_big_values_travel_both_ways(self):
        worker, client = self.new_worker(), self.client()
        counter = self.counter(client, worker)
        size = client.submit(counter, "size", [b"x" * 50_000])
        self.assertEqual(self.result(size, worker), 50_000)
        big = client.submit(counter, "blow_up", [50_000])
        self.assertEqual(self.result(big, worker), b"b" * 50_000)

    def test_the_broker_never_sends_more_than_the_window(self):
        worker, client = self.new_worker(window=3, task_slots=2), self.client()
        counter = self.counter(client, worker)
        join_task = client.task("join")
        calls = [client.submit(counter, "add", [1]) for _ in range(40)]
        calls += [client.submit(join_task, None, ["a", "b"]) for _ in range(40)]
        self.drive(lambda: all(call.ended for call in calls), client, worker)
        slot = next(number for number in worker.slots if number)
        self.assertEqual(worker.most_out, {0: 2, slot: 3})

    def test_results_are_forgotten_once_they_are_safe(self):
        worker, client = self.new_worker(), self.client()
        counter = self.counter(client, worker)
        calls = [client.submit(counter, "add", [1]) for _ in range(20)]
        self.drive(lambda: all(call.ended for call in calls), client, worker)
        self.drive(lambda: not worker.calls, client, worker)

    def test_errors_of_methods_and_constructors_reach_the_caller(self):
        worker, client = self.new_worker(), self.client()
        counter = self.counter(client, worker)
        self.drive(lambda: True, client, worker)
        call = client.submit(counter, "stutter", [1])
        self.drive(lambda: call.ended, client, worker)
        info = self.assert_fails(TASK_ERROR, call, 0)
        self.assertEqual((info["type"], info["message"]), ("RuntimeError", "not yet"))
        bad = client.create("Counter", [-1], METHODS)
        call = client.submit(bad, "add", [1])
        self.drive(lambda: call.ended, client, worker)
        self.assertIn("negative", self.assert_fails(CONSTRUCTOR_FAILED, call, 0)["message"])

    def test_headers_and_what_is_left_of_the_deadline_come_with_the_call(self):
        worker, client = self.new_worker(), self.client()
        options = {cb.HEADERS: {"tenant": "x"}, cb.DEADLINE: 5000}
        call = client.submit(client.task("join"), None, ["a", "b"], options)
        self.drive(lambda: worker.calls, client, worker, work=False)
        running = next(iter(worker.calls.values()))
        self.assertLessEqual(running.deadline_ms, 5000)
        self.assertGreater(running.deadline_ms, 1000)
        self.result(call, worker)
        self.assertEqual(worker.headers, {"tenant": "x"})

    def test_a_killed_actor_is_stopped(self):
        worker, client = self.new_worker(), self.client()
        counter = self.counter(client, worker)
        self.result(client.submit(counter, "add", [1]), worker)
        client.write(cb.KILL, 77, counter.number, False)
        self.drive(lambda: 77 in client.answers and len(worker.slots) == 1, client, worker)


class Order(WorkerCase):
    def test_a_call_that_is_tried_again_stays_before_those_that_were_sent_behind_it(self):
        worker, client = self.new_worker(window=4), self.client()
        worker.held_errors = True
        retried = {15: 3, 22: True, 21: [1, 10]}  # max_retries, retry_on, backoff
        counter = self.counter(client, worker, options=retried)
        first = client.submit(counter, "stutter", [7])
        behind = [client.submit(counter, "add", [1]) for _ in range(10)]
        self.drive(lambda: all(call.ended for call in [first, *behind]), client, worker)
        self.assertEqual(first.value, 7)
        order = [(name, seq) for name, _, seq, _ in worker.log]
        self.assertEqual(order, [("stutter", first.seq), ("stutter", first.seq),
                                 *[("add", call.seq) for call in behind]])


class Losses(WorkerCase):
    def test_a_worker_that_comes_back_keeps_its_actors_and_results(self):
        worker, client = self.new_worker(), self.client()
        counter = self.counter(client, worker, 100)
        self.result(client.submit(counter, "add", [1]), worker)
        call = client.submit(counter, "add", [10])
        self.drive(lambda: worker.work(finish=False), client, worker, work=False)
        worker.disconnect()
        running = next(call for call in worker.calls.values() if call.done is None)
        worker.finish(running)  # it ends while nobody can be told
        worker.connect()
        self.assertEqual(self.result(call, worker), 111)
        self.assertEqual(self.result(client.submit(counter, "add", [1]), worker), 112)
        self.drive(lambda: not worker.calls, client, worker)

    def test_calls_that_had_not_begun_are_sent_again_and_run_once(self):
        worker, client = self.new_worker(window=8), self.client()
        counter = self.counter(client, worker)
        calls = [client.submit(counter, "add", [1]) for _ in range(8)]
        self.drive(lambda: len(worker.calls) == 8, client, worker, work=False)
        worker.connect()
        self.assertEqual([self.result(call, worker) for call in calls], list(range(1, 9)))

    def test_a_worker_outlives_its_broker(self):
        worker, client = self.new_worker(window=4), self.client()
        counter = self.counter(client, worker, 5, {cb.NAME: "outliving"})
        self.result(client.submit(counter, "add", [1]), worker)
        calls = [client.submit(counter, "add", [1]) for _ in range(6)]
        self.drive(lambda: calls[-1].acknowledged and len(worker.calls) == 4, client, worker,
                   work=False)
        worker.work(finish=False)
        epoch = worker.epoch
        self.system.kill_broker()
        worker.finish(next(call for call in worker.calls.values() if call.begun))
        self.system.start_broker()
        client.connect()
        worker.connect()
        self.assertGreater(worker.epoch, epoch)
        self.assertEqual([self.result(call, worker, timeout=20) for call in calls],
                         list(range(7, 13)))

    def test_a_worker_that_ends_on_purpose_lets_its_actors_move(self):
        worker, client = self.new_worker(window=4), self.client()
        counter = self.counter(client, worker, 10)  # no restarts are allowed
        self.assertEqual(self.result(client.submit(counter, "add", [1]), worker), 11)
        calls = [client.submit(counter, "add", [1]) for _ in range(3)]
        self.drive(lambda: len(worker.calls) >= 3, client, worker, work=False)
        worker.leave()
        other = self.new_worker("py-next")
        self.assertEqual([self.result(call, other) for call in calls], [11, 12, 13])

    def test_a_worker_that_falls_silent_loses_what_it_had_begun(self):
        worker, client = self.new_worker(), self.client()
        counter = self.counter(client, worker)
        call = client.submit(counter, "add", [1])
        self.drive(lambda: worker.work(finish=False), client, worker, work=False)
        worker.disconnect()
        self.drive(lambda: call.ended, client)
        self.assert_fails(MAYBE_EXECUTED, call, 0)

    def test_a_supervisor_tells_exactly_what_a_dead_child_had_begun(self):
        worker, client = self.new_worker(window=4, supervisor="sup"), self.client()
        supervisor = Supervisor(self.system.endpoint, "sup")
        self.addCleanup(supervisor.close)
        counter = self.counter(client, worker, options={14: 1})  # max_restarts
        calls = [client.submit(counter, "add", [1]) for _ in range(4)]
        self.drive(lambda: len(worker.calls) == 4, client, worker, work=False)
        worker.work(finish=False)
        worker.disconnect()
        supervisor.child_died(worker)
        other = self.new_worker("py-second")
        self.drive(lambda: all(call.ended for call in calls), client, other)
        self.assert_fails(MAYBE_EXECUTED, calls[0], 0)
        self.assertEqual([call.value for call in calls[1:]], [1, 2, 3])

    def test_a_task_that_kills_every_worker_is_given_up(self):
        client = self.client()
        supervisor = Supervisor(self.system.endpoint, "sup")
        self.addCleanup(supervisor.close)
        workers = [self.new_worker("bait-0", supervisor="sup")]
        call = client.submit(client.task("join"), None, ["a", "b"])
        while not call.ended and len(workers) < 6:
            worker = workers[-1]
            self.drive(lambda: worker.work(finish=False) or call.ended, client, worker,
                       work=False)
            if call.ended:
                break
            worker.disconnect()
            supervisor.child_died(worker, signal=11, blamed=call.id)
            workers.append(self.new_worker(f"bait-{len(workers)}", supervisor="sup"))
            client.pump(0.2)
        self.assert_fails(POISONED, call, 0)


if __name__ == "__main__":
    unittest.main()
