"""callboard dev: ready soon, and nothing of it stays behind, however it ends."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from cli_case import APP, BIN, Dev, descendants, environment, eventually, lives, run


class DevCase(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="cbdev", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)

    def leftovers(self):
        return sorted(os.listdir(self.base))

    def assert_nothing_stays(self, pids):
        for pid in pids:
            self.assertTrue(eventually(lambda: not lives(pid)), f"process {pid} lives on")
        self.assertTrue(eventually(lambda: self.leftovers() == []), self.leftovers())

    def start(self, *arguments, **options):
        dev = Dev(*arguments, base=self.base, **options)
        self.addCleanup(self.end, dev)
        return dev

    @staticmethod
    def end(dev):
        if dev.process.poll() is None:
            dev.stop()


class Ending(DevCase):
    def test_interrupt_ends_everything(self):
        dev = self.start("--workers", "2")
        pids = dev.pids()
        self.assertGreaterEqual(len(pids), 7)  # dev, keeper, redis, broker, worker and two children
        self.assertEqual(dev.stop(signal.SIGINT), 0)
        self.assert_nothing_stays(pids)

    def test_termination_signal_ends_everything(self):
        dev = self.start()
        pids = dev.pids()
        self.assertEqual(dev.stop(signal.SIGTERM), 0)
        self.assert_nothing_stays(pids)

    def test_kill_leaves_nothing_behind(self):
        dev = self.start("--workers", "2")
        pids = dev.pids()
        self.assertEqual(dev.stop(signal.SIGKILL), -signal.SIGKILL)
        self.assert_nothing_stays(pids)

    def test_killed_keeper_takes_all_along_and_dev_says_so(self):
        dev = self.start()
        pids = dev.pids()
        os.kill(dev.info["pids"]["keeper"], signal.SIGKILL)
        self.assertEqual(dev.process.wait(60), 1)
        self.assertIn("the keeper was killed, and all its processes with it", dev.read_log())
        self.assert_nothing_stays(pids)
        dev.close()

    def test_kill_of_dev_and_keeper_leaves_only_what_the_next_start_removes(self):
        dev = self.start()
        pids = dev.pids()
        os.kill(dev.info["pids"]["keeper"], signal.SIGSTOP)  # it must not tidy up before it dies
        dev.process.kill()
        os.kill(dev.info["pids"]["keeper"], signal.SIGKILL)
        dev.process.wait(60)
        for pid in pids:
            self.assertTrue(eventually(lambda: not lives(pid)), f"process {pid} lives on")
        self.assertEqual(len(self.leftovers()), 1)
        dev.close()
        second = self.start()
        self.assertEqual(self.leftovers(), [os.path.basename(second.info["runtime_dir"])])
        second.stop()
        self.assertEqual(self.leftovers(), [])

    def test_worker_that_will_not_end_is_ended(self):
        dev = self.start("--load", APP)
        dev.run("actor", "create", "Napper", "0", "--name", "sleeper")
        dev.run("submit", "sleeper", "nap", "600000", "--no-wait")
        pids = dev.pids()
        self.assertEqual(dev.stop(signal.SIGINT), 0)
        self.assert_nothing_stays(pids)


class Starting(DevCase):
    def test_two_systems_run_beside_each_other(self):
        first, second = self.start(), self.start()
        self.assertNotEqual(first.info["endpoint"], second.info["endpoint"])
        first.json("actor", "create", "callboard.Echo", "--name", "mine")
        self.assertEqual(second.json("actor", "ls"), [])

    def test_ports_lie_outside_of_the_range_of_outgoing_connections(self):
        port = int(self.start("--workers", "0").info["endpoint"].rsplit(":", 1)[1])
        self.assertFalse(32768 <= port <= 60999, port)

    def test_broker_is_reached_by_tcp_and_by_a_socket_file(self):
        dev = self.start("--workers", "0")
        for endpoint in (dev.info["endpoint"], dev.info["ipc_endpoint"]):
            done = run("queue", "ls", "-o", "json", "--broker", endpoint)
            self.assertEqual((done.returncode, done.stdout), (0, "[]\n"), done.stderr)

    def test_redis_listens_on_its_socket_only(self):
        dev = self.start("--workers", "0")
        with socket.socket(socket.AF_UNIX) as redis:
            redis.connect(dev.info["redis_socket"])
            redis.sendall(b"CONFIG GET port\r\nCONFIG GET maxmemory-policy\r\n")
            answer = b""
            while answer.count(b"\r\n") < 10:
                answer += redis.recv(4096)
        self.assertIn(b"$4\r\nport\r\n$1\r\n0\r\n", answer)
        self.assertIn(b"noeviction", answer)

    def test_port_that_is_in_use_is_named(self):
        dev = self.start("--workers", "0")
        port = dev.info["endpoint"].rsplit(":", 1)[1]
        done = run("dev", "--port", port, XDG_RUNTIME_DIR=self.base)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stderr,
                         f"callboard: invalid_option: port {port} of 127.0.0.1 is in use\n")
        self.assertEqual(len(self.leftovers()), 1)

    def test_library_that_does_not_load_ends_it_with_a_reason(self):
        broken = pathlib.Path(self.base) / "broken.so"
        broken.write_text("this is no library")
        done = run("dev", "--port", "0", "--load", str(broken), XDG_RUNTIME_DIR=self.base)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("worker (pid ", done.stderr)
        self.assertIn("before it was ready", done.stderr)
        broken.unlink()
        self.assertEqual(self.leftovers(), [])

    def test_redis_that_is_not_installed_is_named(self):
        done = run("dev", "--port", "0", XDG_RUNTIME_DIR=self.base,
                   CALLBOARD_REDIS_SERVER="/nonexistent/redis-server")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nonexistent/redis-server is not a program", done.stderr)
        self.assertEqual(self.leftovers(), [])

    def test_settings_of_the_file_reach_broker_and_worker(self):
        config = pathlib.Path(self.base) / "callboard.toml"
        config.write_text('[broker]\nname = "from-the-file"\n'
                          '[worker]\nname = "worker-of-the-file"\n')
        dev = self.start(config=str(config))
        self.assertEqual(dev.json("health")["broker"], "from-the-file")
        self.assertEqual(dev.json("worker", "ls")[0]["worker"], "worker-of-the-file-0")
        dev.stop()
        config.unlink()

    def test_person_is_told_where_to_go(self):
        with subprocess.Popen([BIN, "dev", "--port", "0"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True,
                              env=environment(XDG_RUNTIME_DIR=self.base)) as process:
            lines = [process.stdout.readline() for _ in range(5)]
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(60), 0)
        text = "".join(lines)
        self.assertRegex(text, r"^ready after \d+ ms; Ctrl-C ends it\n")
        self.assertRegex(text, r"broker   tcp://127\.0\.0\.1:\d+  ipc://")
        self.assertIn("redis-cli -s ", text)
        self.assertRegex(text, r"export CALLBOARD_BROKER=tcp://127\.0\.0\.1:\d+")


class Data(DevCase):
    def test_calls_survive_a_restart_with_a_data_directory(self):
        data = os.path.join(self.base, "data")
        dev = self.start("--data", data, "--load", APP)
        dev.json("actor", "create", "Napper", "7", "--name", "kept")
        dev.json("queue", "pause", "kept")
        dev.json("submit", "kept", "count", "--no-wait")
        self.assertEqual(dev.stop(), 0)
        again = self.start("--data", data, "--load", APP)
        self.assertEqual(again.json("queue", "inspect", "kept")["depth"], 1)
        again.json("queue", "resume", "kept")
        self.assertTrue(eventually(lambda: again.json("queue", "inspect", "kept")["depth"] == 0))
        self.assertEqual(again.run("submit", "kept", "count").stdout, "9\n")

    def test_without_a_data_directory_nothing_is_kept(self):
        dev = self.start()
        dev.json("actor", "create", "callboard.Echo", "--name", "gone")
        dev.stop()
        self.assertEqual(self.start().json("actor", "ls"), [])


class Dying(DevCase):
    def test_part_that_dies_is_started_again(self):
        dev = self.start("--data", os.path.join(self.base, "data"), "--load", APP)
        dev.json("actor", "create", "Napper", "0", "--name", "lasting", "--max-restarts", "-1")
        dev.run("submit", "lasting", "count")
        for part, name in (("broker", "broker"), ("redis", "redis-server"), ("worker", "worker")):
            before = set(descendants(dev.process.pid))
            os.kill(dev.info["pids"][part], signal.SIGKILL)
            told = rf"{name} \(pid \d+\) ended with signal 9 \(Killed\); it is started again"
            self.assertTrue(eventually(lambda: re.search(told, dev.read_log())), dev.read_log())
            self.assertTrue(eventually(
                lambda: dev.run("submit", "lasting", "count", "--timeout", "5s").returncode == 0),
                part + ": " + dev.read_log()[-2000:])
            self.assertTrue(set(descendants(dev.process.pid)) - before)


def instrumented():
    """Sanitizers need several times the memory."""
    program = pathlib.Path(BIN).read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


class Size(DevCase):
    @unittest.skipIf(instrumented(), "built with a sanitizer")
    def test_idle_memory_of_all_processes_is_small(self):
        dev = self.start()
        total = 0
        for pid in dev.pids():
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1))
        print(f"idle memory: {total / 1024:.1f} MiB in {len(dev.pids())} processes; "
              f"ready after {dev.info['ready_ms']} ms")
        self.assertLess(total, 80 * 1024)


if __name__ == "__main__":
    unittest.main()
