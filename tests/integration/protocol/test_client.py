"""A client in another language, written from docs/protocol.md, against the real programs."""

import time
import unittest

import msgpack
import zmq

import callboard_client as cb
from protocol_case import (ACTOR_DIED, CANCELLED, DEPENDENCY_FAILED, EXPIRED, INVALID_OPTION,
                           NAME_TAKEN, NOTES, ProtocolCase, QUEUE_FULL, REFUSED_BEFORE, TASK_ERROR,
                           UNKNOWN_ACTOR, UNKNOWN_SESSION)

CANCELLED_BEFORE_START, TOO_LATE, UNKNOWN_CALL = 0, 3, 5


class Calls(ProtocolCase):
    def test_a_submitted_call_gets_its_result(self):
        client = self.client()
        self.assertEqual(client.submit(self.toolbox(client), "add", [2, 3]).result(), 5)

    def test_a_task_runs_without_an_actor(self):
        client = self.client()
        call = client.submit(client.task("join"), None, ["ab", "cd"])
        self.assertEqual(call.result(), "abcd")

    def test_an_exception_comes_back_with_type_message_and_place(self):
        client = self.client()
        call = client.submit(self.toolbox(client), "fail", ["no row"])
        info = self.assert_fails(TASK_ERROR, call)
        self.assertEqual(info["code"], TASK_ERROR)
        self.assertEqual(info["type"], "std::out_of_range")
        self.assertEqual(info["message"], "no row")
        self.assertIn("Toolbox.fail", info["place"])

    def test_many_calls_of_one_frame_run_in_their_order(self):
        client = self.client()
        notes = self.notes(client)
        calls = [client.submit(notes, "append", [str(i)]) for i in range(500)]
        self.assertEqual([call.result() for call in calls], list(range(1, 501)))
        self.assertEqual(client.submit(notes, "all").result(), [str(i) for i in range(500)])

    def test_a_queue_may_be_used_before_it_is_known_to_be_open(self):
        client = self.client()
        toolbox = client.create("Toolbox", [], ["add"], wait=False)
        self.assertEqual(client.submit(toolbox, "add", [1, 1]).result(), 2)

    def test_methods_may_be_announced_later(self):
        client = self.client()
        toolbox = client.create("Toolbox", [], ["add"])
        client.add_methods(toolbox, ["echo"])
        self.assertEqual(client.submit(toolbox, "echo", ["late"]).result(), "late")

    def test_headers_reach_the_method(self):
        client = self.client()
        headers = {"traceparent": "00-aa-bb-01", "tenant": "ü"}
        call = client.submit(self.toolbox(client), "headers", [], {cb.HEADERS: headers})
        self.assertEqual(call.result(), headers)

    def test_values_around_the_size_of_a_part_travel_both_ways(self):
        client = self.client()
        toolbox = self.toolbox(client)
        for size in (16_380, 16_383, 16_384, 16_385, 1_000_000):
            self.assertEqual(client.submit(toolbox, "length", [b"x" * size]).result(), size)
            self.assertEqual(client.submit(toolbox, "repeat", [size]).result(), b"r" * size)

    def test_many_big_values_in_one_frame_keep_their_order(self):
        client = self.client()
        toolbox = self.toolbox(client)
        sizes = [20_000 + i for i in range(20)]
        calls = [client.submit(toolbox, "length", [b"x" * size]) for size in sizes]
        self.assertEqual([call.result() for call in calls], sizes)

    def test_a_call_of_level_memory_gets_its_result(self):
        client = self.client()
        call = client.submit(self.toolbox(client), "add", [1, 2], {cb.DURABILITY: cb.MEMORY})
        self.assertEqual(call.result(), 3)

    def test_accepted_covers_every_number_and_creations_too(self):
        client = self.client()
        notes = self.notes(client)
        calls = [client.submit(notes, "append", ["x"]) for _ in range(20)]
        for call in calls:
            call.result()
        client.wait_for(lambda: client.accepted_through == client.next_seq - 1, 5, "accepted")

    def test_fire_and_forget_runs_and_sends_no_result(self):
        client = self.client()
        notes = self.notes(client)
        silent = client.submit(notes, "append", ["quiet"], {cb.NO_RESULT: True})
        self.assertEqual(client.submit(notes, "all").result(), ["quiet"])
        client.wait_for(lambda: silent.acknowledged, 5, "accepted")
        self.assertFalse(silent.ended)

    def test_a_deadline_that_has_passed_ends_a_call_that_never_began(self):
        client = self.client()
        notes = self.notes(client)
        slow = client.submit(notes, "append_after", [400, "slow"])
        late = client.submit(notes, "append", ["late"], {cb.DEADLINE: 100})
        self.assert_fails(EXPIRED, late)
        slow.result()
        self.assertEqual(client.submit(notes, "all").result(), ["slow"])

    def test_a_cancelled_call_never_begins_and_the_answer_is_definite(self):
        client = self.client()
        notes = self.notes(client)
        slow = client.submit(notes, "append_after", [300, "slow"])
        waiting = client.submit(notes, "append", ["waiting"])
        self.assertEqual(client.cancel(waiting.id), CANCELLED_BEFORE_START)
        self.assert_fails(CANCELLED, waiting)
        slow.result()
        self.assertEqual(client.cancel(slow.id), TOO_LATE)
        self.assertEqual(client.cancel([client.session, 999_999]), UNKNOWN_CALL)
        self.assertEqual(client.submit(notes, "all").result(), ["slow"])


class Queues(ProtocolCase):
    def test_a_named_actor_is_found_by_another_client(self):
        self.notes(self.client(), {cb.NAME: "shared", cb.NAMESPACE: "ns"})
        other = self.client()
        notes = other.open(cb.QUEUE_NAME, "ns/shared", methods=NOTES)
        self.assertEqual(other.submit(notes, "title").result(), "title")

    def test_get_if_exists_gives_the_one_that_is_there(self):
        client = self.client()
        first = self.notes(client, {cb.NAME: "single", cb.GET_IF_EXISTS: True})
        again = self.notes(self.client(), {cb.NAME: "single", cb.GET_IF_EXISTS: True})
        self.assertEqual(first.answer[2:4], again.answer[2:4])
        with self.assertRaises(cb.CallFailed) as caught:
            self.toolbox(client, {cb.NAME: "single", cb.GET_IF_EXISTS: True})
        self.assertEqual(caught.exception.code, NAME_TAKEN)

    def test_a_name_that_nobody_has_is_an_unknown_actor_for_its_calls_too(self):
        client = self.client()
        nobody = client.open(cb.QUEUE_NAME, "nobody", methods=["add"], wait=False)
        call = client.submit(nobody, "add", [1])
        self.assert_fails(UNKNOWN_ACTOR, call)
        self.assertEqual(nobody.answer[0], UNKNOWN_ACTOR)

    def test_a_killed_actor_fails_its_calls(self):
        client = self.client()
        notes = self.notes(client)
        client.submit(notes, "append", ["x"]).result()
        self.assertEqual(client.kill(notes)[0], cb.OK)
        self.assert_fails(ACTOR_DIED, client.submit(notes, "append", ["y"]))

    def test_an_owned_actor_ends_with_its_session(self):
        owner = self.client()
        notes = self.notes(owner)
        owner.submit(notes, "append", ["x"]).result()
        other = self.client()
        lent = other.open(cb.ACTOR, actor=notes.target[1], methods=NOTES)
        self.assertEqual(other.submit(lent, "all").result(), ["x"])
        owner.close()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            call = other.submit(lent, "all")
            try:
                call.result()
            except cb.CallFailed as failure:
                self.assertEqual(failure.code, ACTOR_DIED)
                return
        self.fail("the actor outlived its owner")

    def test_an_option_that_makes_no_sense_is_named(self):
        client = self.client()
        with self.assertRaises(cb.CallFailed) as caught:
            self.notes(client, {cb.MAX_CONCURRENCY: "many"})
        self.assertEqual(caught.exception.code, INVALID_OPTION)
        self.assertIn("max_concurrency must be int, not str", str(caught.exception))
        info = self.assert_fails(INVALID_OPTION,
                                 client.submit(self.toolbox(client), "add", [1, 2], {60: True}))
        self.assertIn("60", info["message"])


class FullQueues(ProtocolCase):
    def test_a_refusal_sticks_until_it_was_seen(self):
        client = self.client()
        notes = self.notes(client, {cb.MAX_PENDING: 2})
        calls = [client.submit(notes, "append_after", [200, "a"])]
        calls += [client.submit(notes, "append", [str(i)]) for i in range(4)]
        self.assert_fails(QUEUE_FULL, calls[2])
        self.assert_fails(REFUSED_BEFORE, calls[3])
        self.assert_fails(REFUSED_BEFORE, calls[4])
        calls[1].result()
        still = client.submit(notes, "append", ["still refused"])
        self.assert_fails(REFUSED_BEFORE, still)
        client.say_resume(notes)
        client.submit(notes, "append", ["again"]).result()
        self.assertEqual(client.submit(notes, "all").result(), ["a", "0", "again"])

    def test_a_full_queue_that_blocks_parks_calls_and_takes_them_in_order(self):
        client = self.client()
        notes = self.notes(client, {cb.MAX_PENDING: 3})
        lines = [str(i) for i in range(60)]
        calls = [client.submit(notes, "append", [line], {cb.WHEN_FULL: cb.BLOCK})
                 for line in lines]
        for call in calls:
            call.result()
        self.assertEqual(client.submit(notes, "all").result(), lines)

    def test_results_that_were_taken_make_room_for_the_calls_that_come_next(self):
        client = self.client()
        notes = self.notes(client, {cb.MAX_PENDING: 3})
        for turn in range(5):
            calls = [client.submit(notes, "append", [f"{turn}.{i}"]) for i in range(3)]
            client.flush()
            time.sleep(0.05)  # all three results arrive together, not yet on record
            for call in calls:
                call.result()

    def test_a_call_on_its_way_does_not_take_the_room_of_one_that_was_parked_before_it(self):
        client = self.client()
        notes = self.notes(client, {cb.MAX_PENDING: 1})
        blocking = {cb.WHEN_FULL: cb.BLOCK}
        slow = client.submit(notes, "append_after", [100, "slow"], blocking)
        parked = client.submit(notes, "append", ["parked"], blocking)
        client.flush()
        time.sleep(0.5)  # room was granted meanwhile, and we have not looked
        late = client.submit(notes, "append", ["late"], blocking)
        for call in (slow, parked, late):
            call.result()
        lines = client.submit(notes, "all", [], blocking).result()
        self.assertEqual(lines, ["slow", "parked", "late"])

    def test_two_clients_that_block_at_one_queue_both_keep_their_order(self):
        clients = [self.client(), self.client()]
        self.notes(clients[0], {cb.NAME: "crowded", cb.MAX_PENDING: 3})
        calls = []
        for number, client in enumerate(clients):
            handle = client.open(cb.QUEUE_NAME, "crowded", methods=NOTES)
            calls.append([client.submit(handle, "append", [f"{number}:{i}"],
                                        {cb.WHEN_FULL: cb.BLOCK}) for i in range(40)])
        deadline = time.monotonic() + 20
        while not all(call.ended for mine in calls for call in mine):
            self.assertLess(time.monotonic(), deadline, "parked for ever")
            for client in clients:
                client.pump(0.01)
        handle = clients[0].open(cb.QUEUE_NAME, "crowded", methods=NOTES)
        # Results that the other client has not taken may still fill the queue for a moment.
        lines = clients[0].submit(handle, "all", [], {cb.WHEN_FULL: cb.BLOCK}).result()
        for number in range(2):
            mine = [line for line in lines if line.startswith(f"{number}:")]
            self.assertEqual(mine, [f"{number}:{i}" for i in range(40)])


class Dependencies(ProtocolCase):
    def test_a_result_becomes_an_argument_without_coming_here(self):
        client = self.client()
        toolbox = self.toolbox(client)
        slow = client.submit(self.notes(client), "append_after", [100, "x"])
        total = client.submit(toolbox, "add", [None, 41], refs={0: slow.id})
        self.assertEqual(total.result(), 42)

    def test_a_big_result_becomes_an_argument(self):
        client = self.client()
        toolbox = self.toolbox(client)
        big = client.submit(toolbox, "repeat", [300_000])
        length = client.submit(toolbox, "length", [None], refs={0: big.id})
        self.assertEqual(length.result(), 300_000)

    def test_a_failed_dependency_fails_its_dependents_with_the_chain_of_causes(self):
        client = self.client()
        toolbox = self.toolbox(client)
        bad = client.submit(toolbox, "fail", ["first cause"])
        middle = client.submit(toolbox, "add", [None, 1], refs={0: bad.id})
        last = client.submit(toolbox, "add", [None, 1], refs={0: middle.id})
        self.assert_fails(TASK_ERROR, bad)
        self.assert_fails(DEPENDENCY_FAILED, middle)
        info = self.assert_fails(DEPENDENCY_FAILED, last)
        self.assertIn("first cause", info["causes"])


class Reconnecting(ProtocolCase):
    def test_what_was_not_acknowledged_is_sent_again_and_runs_once(self):
        client = self.client()
        notes = self.notes(client, {cb.NAME: "once"})
        lines = []
        calls = []
        for round_number in range(8):
            for i in range(50):
                lines.append(f"{round_number}:{i}")
                calls.append(client.submit(notes, "append", [lines[-1]]))
            client.pump(0.002 * round_number)  # some of it leaves, some of it comes back
            client.connect()
        for call in calls:
            call.result()
        self.assertEqual([call.value for call in calls], list(range(1, len(lines) + 1)))
        self.assertEqual(client.submit(notes, "all").result(), lines)

    def test_a_result_that_was_not_taken_is_told_again(self):
        client = self.client()
        notes = self.notes(client)
        call = client.submit(notes, "append_after", [200, "x"])
        client.flush()
        time.sleep(0.1)
        client.connect()
        self.assertEqual(call.result(), 1)
        self.assertEqual(client.submit(notes, "all").result(), ["x"])

    def test_a_number_that_was_accepted_is_not_run_again(self):
        client = self.client()
        notes = self.notes(client)
        call = client.submit(notes, "append", ["once"])
        call.result()
        for _ in range(3):
            call.write(client)
        self.assertEqual(client.submit(notes, "all").result(), ["once"])

    def test_a_broker_that_was_killed_goes_on_with_durable_calls(self):
        client = self.client()
        notes = self.notes(client, {cb.NAME: "survivor"})
        client.submit(notes, "append", ["before"]).result()
        slow = client.submit(notes, "append_after", [500, "slow"])
        behind = [client.submit(notes, "append", [str(i)]) for i in range(5)]
        client.wait_for(lambda: behind[-1].acknowledged, 5, "accepted")
        epoch = client.epoch
        self.system.kill_broker()
        unsent = client.submit(notes, "append", ["sent to the next"])
        client.flush()
        self.system.start_broker()
        client.connect()
        for call in [slow, *behind, unsent]:
            call.result(20.0)
        self.assertGreater(client.epoch, epoch)
        self.assertEqual(client.submit(notes, "all").result(),
                         ["before", "slow", *map(str, range(5)), "sent to the next"])

    def test_a_connection_that_the_broker_does_not_know_is_asked_who_it_is(self):
        client = self.client()
        self.notes(client)
        stranger = zmq.Context.instance().socket(zmq.DEALER)
        stranger.linger = 0
        self.addCleanup(stranger.close)
        stranger.connect(self.system.endpoint)
        stranger.send(cb.pack([1, client.epoch]) + cb.pack([cb.PING, 7]))
        self.assertTrue(stranger.poll(5000))
        self.assertEqual(cb.read_head(stranger.recv_multipart()[0]), [[1, client.epoch], [cb.WHO]])

    def test_a_frame_of_another_epoch_is_asked_who_it_is_and_the_session_goes_on(self):
        client = self.client()
        notes = self.notes(client)
        client.submit(notes, "append", ["x"]).result()
        hellos = client.hellos
        client.epoch -= 1
        call = client.submit(notes, "append", ["y"])
        self.assertEqual(call.result(), 2)
        self.assertEqual(client.hellos, hellos + 1)

    def test_a_session_that_is_not_known_cannot_be_resumed(self):
        client = cb.Client(self.system.endpoint, connect=False)
        client.known = True
        with self.assertRaises(cb.ConnectionEnded) as caught:
            client.connect()
        self.assertEqual(caught.exception.code, UNKNOWN_SESSION)

    def test_a_newer_connection_takes_the_session_over(self):
        client = self.client()
        notes = self.notes(client)
        old = client.socket
        client.socket = None
        self.addCleanup(old.close)
        client.connect()
        self.assertEqual(client.submit(notes, "append", ["x"]).result(), 1)

    def test_a_ping_is_answered_with_its_number(self):
        client = self.client()
        pongs = []
        client.on_message = lambda kind, fields: pongs.append((kind, fields))
        client.write(cb.PING, 12345)
        client.wait_for(lambda: any(kind == cb.PONG and fields[0] == 12345
                                    for kind, fields in pongs), 5, "pong")


class Examples(unittest.TestCase):
    """The recipe at the end of the document needs nothing but what this file's client does."""

    def test_the_client_uses_only_pyzmq_and_msgpack(self):
        with open(cb.__file__) as source:
            imports = {line.split()[1] for line in source if line.startswith(("import ", "from "))}
        self.assertEqual(imports, {"random", "time", msgpack.__name__, zmq.__name__})


if __name__ == "__main__":
    unittest.main()
