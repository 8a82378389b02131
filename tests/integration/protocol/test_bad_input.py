"""What must never happen, done on purpose: it gets the documented error, all else goes on."""

import random
import time
import unittest

import zmq

import callboard_client as cb
from protocol_case import (BAD_ARGUMENTS, CONSTRUCTOR_FAILED, INVALID_OPTION, NAME_TAKEN,
                           PROTOCOL_ERROR, ProtocolCase, TASK_ERROR, TOO_LARGE, UNKNOWN_CLASS,
                           UNKNOWN_METHOD, UNKNOWN_TASK, VERSION_UNSUPPORTED)

HEADER = cb.pack([1, 0])
RESULT_SIZE = 1000


class Peer:
    """A connection that says whatever a test wants."""

    def __init__(self, case):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.connect(case.system.endpoint)
        case.addCleanup(self.socket.close)

    def send(self, *parts):
        self.socket.send_multipart(list(parts))

    def message(self, *fields, header=HEADER):
        self.send(header + cb.pack(list(fields)))

    def hello(self, versions=(1, 1), features=0, **info):
        self.message(cb.HELLO, *versions, features, info)

    def welcomed(self, **info):
        """Says hello properly; the epoch of the welcome."""
        self.hello(session=random.getrandbits(55) | 2, **info)
        return self.expect(cb.WELCOME)[2]

    def expect(self, kind, timeout=5.0):
        """The fields of the next message of that type."""
        end = time.monotonic() + timeout
        while self.socket.poll(max(0, end - time.monotonic()) * 1000):
            for message in cb.read_head(self.socket.recv_multipart()[0])[1:]:
                if message[0] == kind:
                    return message[1:]
        raise AssertionError(f"no message of type {kind} within {timeout} s")


class BadCase(ProtocolCase):
    def setUp(self):
        self.neighbour = self.client(name="neighbour")
        self.neighbour_toolbox = self.toolbox(self.neighbour)

    def tearDown(self):
        """Everything else goes on."""
        self.assert_all_is_well()

    def assert_all_is_well(self):
        self.assertTrue(self.system.broker.running, self.system.broker.tail())
        call = self.neighbour.submit(self.neighbour_toolbox, "add", [20, 22])
        self.assertEqual(call.result(10.0), 42)

    def assert_goodbye(self, peer, code):
        fields = peer.expect(cb.GOODBYE)
        self.assertEqual(fields[0], code, fields)
        return fields[1]


class BadFrames(BadCase):
    def test_garbage_is_answered_with_protocol_error(self):
        rng = random.Random(1)
        for _ in range(20):
            peer = Peer(self)
            peer.send(b"\xc1" + rng.randbytes(rng.randrange(1, 400)))
            self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_an_empty_frame_is_answered_with_protocol_error(self):
        peer = Peer(self)
        peer.send(b"")
        self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_frames_cut_at_every_byte_do_no_harm(self):
        whole = HEADER + cb.pack([cb.HELLO, 1, 1, 0, {"session": 77, "name": "cut", "pid": 5}])
        header = len(HEADER)
        for length in range(1, len(whole)):
            peer = Peer(self)
            peer.send(whole[:length])
            if length != header:  # a header alone is a frame without messages
                self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_messages_cut_at_every_byte_do_no_harm_to_a_welcomed_peer(self):
        rng = random.Random(2)
        args = cb.pack([1, "two"])
        messages = [
            [cb.OPEN, 0, 1, 0, 0, "name", ["m"]], [cb.CREATE, 1, 0, "Notes", args, None, []],
            [cb.SUBMIT, 1, 0, 0, args, {1: 5}], [cb.TAKEN, [1, 2]], [cb.CANCEL, 5, 1, False],
            [cb.WAITING, 5, 1, 5, 2, True], [cb.ADMIN, 1, "queue.ls", {}], [cb.KILL, 1, 0, True]]
        for message in messages:
            encoded = cb.pack(message)
            for length in sorted(rng.sample(range(1, len(encoded)), 3)):
                peer = Peer(self)
                epoch = peer.welcomed()
                peer.send(cb.pack([1, epoch]) + encoded[:length])
                self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_random_damage_does_no_harm(self):
        rng = random.Random(3)
        args = cb.pack(["x" * 20])
        good = b"".join(cb.pack(m) for m in (
            [cb.CREATE, 1, 0, "Notes", args, {1: "damaged"}, ["append"]],
            [cb.SUBMIT, 2, 0, 0, args, {4: {"k": "v"}}], [cb.TAKEN, [1, 1]], [cb.CLOSE, 0]))
        for _ in range(150):
            peer = Peer(self)
            epoch = peer.welcomed()
            damaged = bytearray(good)
            for _ in range(rng.randrange(1, 5)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            peer.send(cb.pack([1, epoch]) + bytes(damaged))
            peer.message(cb.GOODBYE, 0, "", header=cb.pack([1, epoch]))

    def test_nesting_bombs_are_answered_with_protocol_error(self):
        for bomb in (b"\x91" * 1_000_000, b"\x81\x01" * 500_000):
            peer = Peer(self)
            peer.send(bomb)
            self.assert_goodbye(peer, PROTOCOL_ERROR)
            peer = Peer(self)
            epoch = peer.welcomed()
            peer.send(cb.pack([1, epoch]) + b"\x94\x2a\x01\xa1x" + bomb)
            self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_deeply_nested_arguments_reach_nobody_but_their_method(self):
        client = self.client()
        toolbox = self.toolbox(client)
        call = client.submit(toolbox, "echo", encoded=b"\x91" * 100_000 + b"\xc0")
        self.assert_fails(BAD_ARGUMENTS, call)
        self.assertEqual(client.submit(toolbox, "echo", ["well"]).result(), "well")

    def test_a_claimed_length_beyond_the_frame_is_answered_with_protocol_error(self):
        for lie in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
            peer = Peer(self)
            peer.send(HEADER + lie)
            self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_a_missing_part_is_answered_with_protocol_error(self):
        peer = Peer(self)
        epoch = peer.welcomed()
        peer.send(cb.pack([1, epoch]) + cb.pack([cb.SUBMIT, 1, 0, 0, None, None]))
        self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_messages_of_an_unknown_type_are_answered_with_protocol_error(self):
        for kind in (0, 7, 31, 90, 127, 70_000):
            peer = Peer(self)
            epoch = peer.welcomed()
            peer.message(kind, 1, 2, header=cb.pack([1, epoch]))
            self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_a_client_may_not_speak_as_a_worker(self):
        for fields in ([81, 1, 0, b"\xc0", False], [82, 0, 0, 5], [83, 1],
                       [87, "w", 1, 1, 9, 0, b"", [], 0, 0]):
            peer = Peer(self)
            epoch = peer.welcomed()
            peer.message(*fields, header=cb.pack([1, epoch]))
            self.assert_goodbye(peer, PROTOCOL_ERROR)

    def test_a_head_beyond_its_limit_is_too_large(self):
        peer = Peer(self)
        peer.send(HEADER + cb.pack([cb.PING, 1]) * 3_000_000)
        self.assert_goodbye(peer, TOO_LARGE)

    def test_a_name_beyond_its_limit_is_answered_with_protocol_error(self):
        peer = Peer(self)
        epoch = peer.welcomed()
        peer.message(cb.OPEN, 0, 1, 0, 0, "n" * 500, [], header=cb.pack([1, epoch]))
        self.assert_goodbye(peer, PROTOCOL_ERROR)


class BadHellos(BadCase):
    def test_another_protocol_version_is_not_supported(self):
        for versions in ((2, 9), (0, 0)):
            peer = Peer(self)
            peer.hello(versions, session=99)
            self.assertIn("version", self.assert_goodbye(peer, VERSION_UNSUPPORTED))

    def test_a_version_range_that_holds_ours_is_welcome(self):
        peer = Peer(self)
        peer.hello((1, 9), session=random.getrandbits(55) | 2)
        self.assertEqual(peer.expect(cb.WELCOME)[0], 1)

    def test_a_hello_of_another_shape_in_another_version_is_understood_so_far(self):
        peer = Peer(self)
        peer.message(cb.HELLO, 5, 6, 0, "something new", [1, 2, 3])
        self.assert_goodbye(peer, VERSION_UNSUPPORTED)

    def test_a_required_feature_that_is_not_there_is_not_supported(self):
        peer = Peer(self)
        peer.hello(features=1 << 20, session=99)
        self.assert_goodbye(peer, VERSION_UNSUPPORTED)

    def test_keys_of_hello_that_nobody_knows_are_ignored(self):
        Peer(self).welcomed(colour="red", shape=[1, {"a": None}])

    def test_a_hello_without_a_session_is_refused(self):
        peer = Peer(self)
        peer.hello(name="nobody")
        self.assert_goodbye(peer, INVALID_OPTION)

    def test_a_second_living_worker_of_one_name_is_refused(self):
        first = Peer(self)
        first.welcomed(role=1, name="twin", instance=1, tasks=[], task_slots=1)
        second = Peer(self)
        second.hello(session=random.getrandbits(55) | 2, role=1, name="twin", instance=2)
        self.assertIn("twin", self.assert_goodbye(second, NAME_TAKEN))
        first.message(cb.PING, 3, header=cb.pack([1, self.neighbour.epoch]))
        self.assertEqual(first.expect(cb.PONG)[0], 3)


class BadCalls(BadCase):
    def test_an_unknown_class_is_named(self):
        client = self.client()
        with self.assertRaises(cb.CallFailed) as caught:
            client.create("NoSuchClass", [], ["m"])
        self.assertEqual(caught.exception.code, UNKNOWN_CLASS)
        self.assertIn("NoSuchClass", str(caught.exception))

    def test_an_unknown_method_is_named(self):
        client = self.client()
        toolbox = client.create("Toolbox", [], ["add", "no_such_method"])
        info = self.assert_fails(UNKNOWN_METHOD, client.submit(toolbox, "no_such_method", []))
        self.assertIn("no_such_method", info["message"])
        self.assertEqual(client.submit(toolbox, "add", [1, 2]).result(), 3)

    def test_a_method_number_that_was_not_announced_is_an_unknown_method(self):
        client = self.client()
        toolbox = client.create("Toolbox", [], ["add"])
        toolbox.methods += ["never told"]
        self.assert_fails(UNKNOWN_METHOD, client.submit(toolbox, "never told", []))

    def test_an_unknown_task_is_named(self):
        client = self.client()
        with self.assertRaises(cb.CallFailed) as caught:
            client.task("no_such_task")
        self.assertEqual(caught.exception.code, UNKNOWN_TASK)
        self.assertIn("no_such_task", str(caught.exception))

    def test_a_wrong_argument_type_is_named_with_the_one_that_was_wanted(self):
        client = self.client()
        info = self.assert_fails(BAD_ARGUMENTS,
                                 client.submit(self.toolbox(client), "add", [1, "two"]))
        self.assertIn("int", info["message"])
        self.assertIn("str", info["message"])

    def test_a_number_that_does_not_fit_is_a_wrong_argument(self):
        client = self.client()
        self.assert_fails(BAD_ARGUMENTS, client.submit(self.toolbox(client), "add", [1, 2 ** 40]))

    def test_a_wrong_number_of_arguments_is_a_wrong_argument(self):
        client = self.client()
        toolbox = self.toolbox(client)
        for args in ([], [1], [1, 2, 3]):
            self.assert_fails(BAD_ARGUMENTS, client.submit(toolbox, "add", args))

    def test_arguments_that_are_no_list_are_wrong_arguments(self):
        client = self.client()
        toolbox = self.toolbox(client)
        for encoded in (b"", b"\xc1", cb.pack(5), cb.pack({"a": 1}), b"\x92\x01",
                        b"\x92\x01\x02\x03"):
            self.assert_fails(BAD_ARGUMENTS, client.submit(toolbox, "add", encoded=encoded))

    def test_arguments_with_results_that_are_no_list_of_bins_do_no_harm(self):
        client = self.client()
        toolbox = self.toolbox(client)
        source = client.submit(toolbox, "add", [1, 2])
        for encoded in (b"", cb.pack(7), cb.pack([1, 2]), cb.pack([None]), b"\xdd\xff\xff\xff\xff"):
            options = {cb.REFS: [0, *source.id]}
            call = client.submit(toolbox, "add", encoded=encoded, options=options)
            with self.assertRaises(cb.CallFailed):
                call.result()

    def test_a_constructor_that_throws_fails_the_calls_of_its_actor(self):
        client = self.client()
        broken = client.create("Broken", [], ["answer"])
        info = self.assert_fails(CONSTRUCTOR_FAILED, client.submit(broken, "answer"))
        self.assertIn("no such luck", info["message"])

    def test_a_call_on_a_handle_that_was_never_opened_is_refused(self):
        client = self.client()
        with self.assertRaises(cb.CallFailed):
            client.submit(cb.Handle(1000, ["m"]), "m").result()

    def test_a_call_that_depends_on_itself_or_on_nobody_fails_at_once(self):
        client = self.client()
        toolbox = self.toolbox(client)
        own_id = [client.session, client.next_seq]
        itself = client.submit(toolbox, "add", [None, 1], refs={0: own_id})
        nobody = client.submit(toolbox, "add", [None, 1], refs={0: [12345, 6]})
        for call in (itself, nobody):
            with self.assertRaises(cb.CallFailed):
                call.result()

    def test_an_unknown_verb_is_an_error(self):
        code, text = self.client().admin("no.such.verb")
        self.assertEqual(code, 33, text)


class BadManners(BadCase):
    def test_a_client_that_never_reads_does_not_slow_the_others(self):
        rude = self.client(name="rude")
        toolbox = self.toolbox(rude)
        before = self.system.broker_memory()
        calls = [rude.submit(toolbox, "repeat", [RESULT_SIZE]) for _ in range(20_000)]
        rude.flush()
        slowest = 0.0
        for _ in range(100):
            started = time.monotonic()
            self.assert_all_is_well()
            slowest = max(slowest, time.monotonic() - started)
        self.assertLess(slowest, 5.0)
        grown = self.system.broker_memory() - before
        self.assertLess(grown, 40 * RESULT_SIZE * len(calls))
        for call in calls:
            self.assertEqual(len(call.result(60.0)), RESULT_SIZE)

    def test_a_flood_of_calls_does_not_stop_the_others(self):
        flooder = self.client(name="flooder")
        toolbox = self.toolbox(flooder, {cb.MAX_PENDING: 100})
        calls = []
        for _ in range(40):
            for _ in range(1_000):
                calls.append(flooder.submit(toolbox, "add", [1, 1], {cb.DURABILITY: cb.MEMORY}))
            flooder.flush()
        self.assert_all_is_well()
        end = time.monotonic() + 60
        while not all(call.ended for call in calls):
            self.assertLess(time.monotonic(), end, "calls without an answer")
            flooder.pump(0.1)
        self.assertTrue(all(call.status in (0, 8, 20) for call in calls))

    def test_a_flood_of_pings_and_hellos_does_not_stop_the_others(self):
        peer = Peer(self)
        epoch = peer.welcomed()
        ping = cb.pack([1, epoch]) + cb.pack([cb.PING, 1]) * 1000
        for _ in range(200):
            peer.send(ping)
        for _ in range(300):
            Peer(self).hello(session=random.getrandbits(55) | 2)
        self.assert_all_is_well()

    def test_a_method_that_throws_again_and_again_takes_nothing_down(self):
        client = self.client()
        toolbox = self.toolbox(client)
        calls = [client.submit(toolbox, "fail", [str(i)]) for i in range(500)]
        for call in calls:
            self.assert_fails(TASK_ERROR, call)


if __name__ == "__main__":
    unittest.main()
