"""The compose file in real containers: up, submit, scale, a worker that is killed, down."""

import json
import os
import re
import time
import unittest

import containers
from containers import COMPOSE, Project, eventually, run

FROM_SOURCES = os.environ.get("CALLBOARD_CONTAINERS") == "1"
# Those whose way leads between containers.
QUICK_DEMOS = ("replicas", "sleepers", "flags", "order", "depth")
BACKLOG = 100
KEPT = 20
GRIND_MS = 300


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = containers.why_not(FROM_SOURCES)
        if reason:
            raise unittest.SkipTest(reason)
        containers.build_images(FROM_SOURCES)
        cls.project = Project()
        cls.addClassCleanup(cls.end)
        cls.project.compose("up", "-d", "redis", "broker", "worker")
        if not eventually(lambda: cls.workers() == 2):
            raise AssertionError("no workers came up: " + "".join(
                map(containers.logs, cls.project.containers(everything=True))))

    @classmethod
    def end(cls):
        left = cls.project.down()
        if left:
            raise AssertionError(f"down left behind: {left}")

    @classmethod
    def callboard(cls, *arguments):
        return json.loads(cls.project.inside("broker", "callboard", *arguments, "-o", "json"))

    @classmethod
    def workers(cls):
        """Worker processes that are connected."""
        broker = cls.project.containers("broker")
        done = broker and run("podman", "exec", broker[0], "callboard", "worker", "ls", "-o",
                              "json", check=False)
        return len(json.loads(done)) if done else 0

    @classmethod
    def healthy(cls):
        broker = cls.project.containers("broker")
        done = broker and run("podman", "exec", broker[0], "callboard", "health", "-o", "json",
                              check=False)
        return bool(done) and json.loads(done)["healthy"]

    def depth(self, queue):
        return int(self.project.inside("redis", "redis-cli", "HLEN",
                                       "callboard:{0}:q:%s:calls" % queue))

    def submit_many(self, queue, calls):
        """Calls that wait, since the queue is paused."""
        self.callboard("queue", "pause", queue)
        loop = f"for i in $(seq {calls}); do callboard submit {queue} grind {GRIND_MS} " \
               "--no-wait >/dev/null || exit 1; done"
        self.project.inside("broker", "sh", "-c", loop)
        self.assertTrue(eventually(lambda: self.depth(queue) == calls), self.depth(queue))

    def create_mill(self, name, replicas):
        self.callboard("actor", "create", "demos.Mill", "--name", name, "--replicas",
                       str(replicas), "--max-restarts", "-1", "--max-retries", "10")
        self.addCleanup(self.callboard, "actor", "kill", name)

    def check_ended(self, queue, calls):
        """All calls end, and end well. The broker counts since it was started."""
        self.assertTrue(eventually(lambda: self.depth(queue) == 0), self.depth(queue))
        now = self.callboard("queue", "inspect", queue)
        self.assertEqual((now["depth"], now["ended"], now["failed"]), (0, calls, 0))

    def test_demos_show_what_they_promise(self):
        if FROM_SOURCES:
            count, text = 8, self.output_of_the_demo_service()
        else:
            count, text = len(QUICK_DEMOS), self.project.beside(
                f"callboard-demo:{containers.TAG}", "run_demos", "--broker", "tcp://broker:7700",
                "--redis", "tcp://redis:6379", *QUICK_DEMOS)
        self.assertIn(f"{count} of {count} demos show what they promise", text)

    def output_of_the_demo_service(self):
        self.project.compose("up", "-d", "demo")
        demo = self.project.containers("demo", everything=True)[0]
        status = run("podman", "wait", demo, timeout=600)
        text = containers.logs(demo)
        self.assertEqual(status, "0", text)
        return text

    def test_backlog_is_worked_off_by_four_workers_although_one_is_killed(self):
        self.project.scale(4)
        self.assertTrue(eventually(lambda: self.workers() == 8), self.workers())
        self.create_mill("mill", 6)
        self.submit_many("mill", BACKLOG)
        self.callboard("queue", "resume", "mill")
        self.assertTrue(eventually(lambda: 0 < self.depth("mill") < BACKLOG))
        victim = self.container_of_a_replica("mill")
        run("podman", "kill", "--signal", "KILL", victim)
        self.assertGreater(self.depth("mill"), 0, "it was done before the worker was killed")
        self.check_ended("mill", BACKLOG)
        self.assertTrue(eventually(lambda: self.moved_away_from(victim, "mill", 6)))

    def replicas(self, name):
        return self.callboard("deployment", "inspect", name)["instances"]

    def container_of_a_replica(self, name):
        """Workers are named after their host, which is the container's id."""
        worker = next(item["worker"] for item in self.replicas(name) if item["out"])
        return worker.split("-")[0]

    def moved_away_from(self, container, name, replicas):
        places = [item["worker"] or "" for item in self.replicas(name)
                  if item["state"] == "alive"]
        return len(places) == replicas and not any(p.startswith(container) for p in places)

    def test_calls_survive_when_redis_and_the_broker_are_killed(self):
        self.create_mill("kept", 2)
        self.submit_many("kept", KEPT)
        time.sleep(2)  # appendfsync everysec
        workers = self.workers()
        for service in ("broker", "redis"):
            container = self.project.containers(service)[0]
            run("podman", "kill", "--signal", "KILL", container)
            run("podman", "start", container)
        # The names' server may be slow to learn where a container went, so all get their time.
        self.assertTrue(eventually(lambda: self.workers() == workers, 180), self.workers())
        self.assertTrue(eventually(self.healthy, 180), "the broker has not found Redis again")
        self.assertEqual(self.depth("kept"), KEPT)
        self.callboard("queue", "resume", "kept")
        self.check_ended("kept", KEPT)

    def test_programs_on_this_machine_reach_the_broker(self):
        program = os.path.join(containers.BUILD, "cli", "callboard")
        answer = run(program, "health", "-o", "json", "--broker",
                     f"tcp://127.0.0.1:{self.project.port}")
        self.assertTrue(json.loads(answer)["healthy"])

    def test_health_checks_of_redis_and_broker_succeed(self):
        for service in ("redis", "broker"):
            run("podman", "healthcheck", "run", self.project.containers(service)[0])

    def test_every_variable_of_the_file_is_a_setting_that_holds(self):
        text = (COMPOSE / "compose.yaml").read_text()
        for service in ("broker", "worker"):
            part = re.search(rf"^  {service}:\n(?:    .*\n|\n)*", text, re.M).group()
            variables = re.findall(r"^      (CALLBOARD_\w+):", part, re.M)
            self.assertGreater(len(variables), 2)
            shown = self.project.inside(service, "callboard", "config", "show", "--origin")
            for variable in variables:
                self.assertRegex(shown, rf"(?m)\s{variable}\s*$")

    def test_nothing_runs_as_root(self):
        for service in ("redis", "broker", "worker"):
            self.assertNotEqual(self.project.inside(service, "id", "-u"), "0", service)

    def test_redis_keeps_its_data_and_evicts_nothing(self):
        for name, value in (("appendonly", "yes"), ("maxmemory-policy", "noeviction")):
            answer = self.project.inside("redis", "redis-cli", "CONFIG", "GET", name)
            self.assertEqual(answer.split(), [name, value])


if __name__ == "__main__":
    unittest.main()
