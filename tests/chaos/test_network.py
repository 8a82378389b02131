"""The proxy harms what it is told to harm and nothing else; power cuts take what was not synced."""

import os
import pathlib
import shutil
import socket
import struct
import tempfile
import threading
import time
import unittest

from chaos_system import Network, Redis, free_port

BUILT = pathlib.Path(os.environ.get("CALLBOARD_BINARY_DIR", "build/release")) / "tests" / "chaos"
SOON_S = 20  # a bound for what takes milliseconds


class Proxy(unittest.TestCase):
    def setUp(self):
        self.network = Network(7)
        self.addCleanup(self.network.process.stdout.close)
        self.addCleanup(self.network.process.stdin.close)
        self.addCleanup(self.network.end)
        self.server = socket.create_server(("127.0.0.1", free_port()))
        self.addCleanup(self.server.close)
        self.address = f"127.0.0.1:{free_port()}"
        host, port = self.server.getsockname()
        self.network.link("a>b", "peer", self.address, f"{host}:{port}")
        self.near, self.far = self.connect()

    def connect(self):
        host, port = self.address.split(":")
        near = socket.create_connection((host, int(port)))
        self.addCleanup(near.close)
        self.server.settimeout(SOON_S)
        far, _ = self.server.accept()
        self.addCleanup(far.close)
        near.settimeout(SOON_S)
        far.settimeout(SOON_S)
        near.sendall(b"hello")
        self.assertEqual(far.recv(100), b"hello")  # the proxy knows both ends
        return near, far

    def harm(self, kind, seconds=1.0):
        self.assertEqual(self.network.tell(do=kind, group="peer", seconds=seconds)["on"], "a>b")

    def struck(self, kind):
        return self.network.tell(do="report").get(f"peer_{kind}", 0)

    def passes(self, source, sink, within):
        sink.settimeout(within)
        source.sendall(b"x")
        try:
            return sink.recv(100) != b""
        except socket.timeout:
            return False
        finally:
            sink.settimeout(SOON_S)

    def test_bytes_pass_in_both_directions(self):
        much = os.urandom(3_000_000)
        sender = threading.Thread(target=lambda: self.near.sendall(much))
        sender.start()
        came = b""
        while len(came) < len(much):
            came += self.far.recv(1 << 20)
        sender.join()
        self.assertEqual(came, much)
        self.assertTrue(self.passes(self.far, self.near, SOON_S))

    def test_what_is_stalled_comes_late_and_whole(self):
        self.harm("stall", 1000)
        self.assertFalse(self.passes(self.near, self.far, 0.2))
        self.assertFalse(self.passes(self.far, self.near, 0.2))
        self.network.tell(do="heal")
        self.assertEqual((self.far.recv(100), self.near.recv(100)), (b"x", b"x"))

    def test_one_way_lets_the_other_way_pass(self):
        self.harm("one_way", 1000)
        passing = [self.passes(self.near, self.far, 0.5), self.passes(self.far, self.near, 0.5)]
        self.assertEqual(sorted(passing), [False, True])

    def test_half_closed_side_hears_an_end_while_the_other_way_passes(self):
        self.harm("half_close")
        self.near.settimeout(0.3)
        try:
            ended, other = (self.near, self.far) if self.near.recv(1) == b"" else (None, None)
        except socket.timeout:
            ended, other = self.far, self.near
        self.assertEqual(ended.recv(1), b"")
        ended.sendall(b"x")
        self.assertEqual(other.recv(1), b"x")
        self.assertEqual(self.struck("half_close"), 1)

    def test_cut_takes_the_end_of_a_piece_and_resets_both(self):
        self.harm("cut_in_frame")
        self.assertEqual(self.struck("cut_in_frame"), 0)  # only what happened counts
        message = struct.pack("!I", 1000) + bytes(1000)
        self.near.sendall(message)
        self.far.sendall(message)
        ends = []
        for end in (self.near, self.far):
            came = b""
            try:
                while piece := end.recv(4096):
                    came += piece
            except ConnectionResetError:
                pass
            ends.append(len(came))
        self.assertLess(min(ends), len(message))
        self.assertEqual(self.struck("cut_in_frame"), 1)
        self.connect()  # the link goes on

    def test_delayed_pieces_keep_their_order(self):
        self.harm("delay", 1000)
        for number in range(5):
            self.near.sendall(bytes([number]))
            time.sleep(0.02)
        came = b""
        while len(came) < 5:
            came += self.far.recv(10)
        self.assertEqual(came, bytes(range(5)))
        self.assertGreater(self.struck("delayed_pieces"), 0)

    def test_link_that_nobody_uses_is_not_harmed(self):
        self.assertIsNone(self.network.tell(do="stall", group="store", seconds=1)["on"])


class PowerLoss(unittest.TestCase):
    """Each number is acknowledged before the next is sent; then the power goes."""

    def acknowledged_and_left(self, fsync):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="callboard-power-"))
        self.addCleanup(shutil.rmtree, directory, True)
        redis = Redis(directory, fsync, BUILT / "libfsync_notes.so")
        redis.start()
        self.addCleanup(redis.end)
        self.wait_for(redis)
        acknowledged = 0
        for _ in range(200):
            if (redis.ask("INCR", "n") or b"").startswith(b":"):
                acknowledged += 1
        redis.cut_power()
        redis.start()
        self.wait_for(redis)
        left = (redis.ask("GET", "n") or b"").split(b"\r\n")
        return acknowledged, int(left[1]) if len(left) > 2 else 0

    def wait_for(self, redis):
        deadline = time.monotonic() + SOON_S
        while not (redis.ask("PING") or b"").startswith(b"+PONG"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_always_keeps_what_was_acknowledged(self):
        acknowledged, left = self.acknowledged_and_left("always")
        self.assertEqual((acknowledged, left), (200, 200))

    def test_everysec_loses_what_came_last(self):
        """Were the files not really cut, nothing could be missing."""
        for _ in range(10):
            acknowledged, left = self.acknowledged_and_left("everysec")
            if left < acknowledged:
                return
        self.fail("ten power cuts lost nothing")


if __name__ == "__main__":
    unittest.main()
