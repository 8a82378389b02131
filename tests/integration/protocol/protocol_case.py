"""What the protocol tests share: one system for all tests of a class, and a healthy neighbour."""

import unittest

import callboard_client as cb
from local_system import LocalSystem

# Codes of docs/errors.md.
TASK_ERROR, ACTOR_DIED, EXPIRED, CANCELLED, DEPENDENCY_FAILED, QUEUE_FULL = 1, 2, 5, 6, 7, 8
UNKNOWN_CLASS, UNKNOWN_METHOD, UNKNOWN_ACTOR, UNKNOWN_TASK, BAD_ARGUMENTS = 9, 10, 11, 12, 13
TOO_LARGE, CONSTRUCTOR_FAILED, NAME_TAKEN, REFUSED_BEFORE, PROTOCOL_ERROR = 14, 18, 19, 20, 21
VERSION_UNSUPPORTED, UNKNOWN_SESSION, INVALID_OPTION = 22, 23, 28

TOOLBOX = ["add", "echo", "repeat", "length", "headers", "nap", "fail"]
NOTES = ["append", "all", "title", "append_after"]


class ProtocolCase(unittest.TestCase):
    system = None
    worker = True

    @classmethod
    def setUpClass(cls):
        cls.system = LocalSystem(worker=cls.worker)

    @classmethod
    def tearDownClass(cls):
        cls.system.stop()

    def client(self, **options):
        client = cb.Client(self.system.endpoint, **options)
        self.addCleanup(client.close)
        return client

    def toolbox(self, client, options=None):
        return client.create("Toolbox", [], TOOLBOX, options)

    def notes(self, client, options=None):
        return client.create("Notes", ["title"], NOTES, options)

    def assert_fails(self, code, call, timeout=10.0):
        with self.assertRaises(cb.CallFailed) as caught:
            call.result(timeout)
        self.assertEqual(caught.exception.code, code, caught.exception.info)
        return caught.exception.info
