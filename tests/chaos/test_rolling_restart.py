"""Every process of a loaded system is ended with SIGTERM and started again, one after the other:
no call is lost, none runs twice, none is left in doubt, and order holds."""

import json
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from chaos_case import BUILT, ChaosCase, until  # noqa: E402
from chaos_system import die_with_parent  # noqa: E402
from history import History  # noqa: E402

SECONDS = 20  # of load
PART_SECONDS = 8  # of a client that is restarted too
RATE = 250  # calls per second of one client
ROUNDS = 2
# Of these kinds a call runs once when nothing breaks; the others fail on purpose.
ONCE = ("once", "prio", "again", "task", "keyed", "later")


class RollingRestart(ChaosCase):
    def start_client(self, number, seconds):
        log = self.system.directory / f"client-{number}.log"
        process = subprocess.Popen(
            [BUILT / "chaos_client", ",".join(self.system.endpoints), self.system.executions, log,
             f"c{number}", str(number), str(seconds), str(RATE)],
            preexec_fn=die_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return log, process

    def restart(self, part):
        began = time.time()
        part.send(signal.SIGTERM)
        try:
            status = part.child.wait(15)
        except subprocess.TimeoutExpired:
            self.fail(f"{part.name} does not end")
        self.assertEqual(status, 0, f"{part.name}: {pathlib.Path(part.log).read_text()[-2000:]}")
        part.start()
        self.assertTrue(until(self.all_there, 30), f"not all is there again after {part.name}")
        return part.name, began, time.time()

    @staticmethod
    def longest_pause(history, began, ended):
        """Without an execution, in milliseconds, between two times."""
        times = sorted(run.ms for runs in history.runs.values() for run in runs
                       if began * 1000 - 500 <= run.ms <= ended * 1000 + 500)
        return max((b - a for a, b in zip(times, times[1:])), default=None)

    def restart_all(self):
        """Each broker has to hand over to the other."""
        first = self.serving()
        second = next(broker for broker in self.system.brokers if broker is not first)
        done = [self.restart(first)]
        self.assertIs(self.serving(), second)
        done.append(self.restart(second))
        self.assertIs(self.serving(), first)
        return done + [self.restart(worker) for worker in self.system.workers]

    def test_nothing_is_lost_or_repeated_when_every_process_is_restarted_under_load(self):
        clients = [self.start_client(number, SECONDS) for number in (1, 2)]
        clients.append(self.start_client(3, PART_SECONDS))
        time.sleep(1)
        restarts = []
        for round_number in range(ROUNDS):
            restarts += self.restart_all()
            if round_number == 0:
                self.assertEqual(clients[2][1].wait(60), 0)
                clients.append(self.start_client(4, PART_SECONDS))
        self.assertIsNone(clients[0][1].poll(), "the load ended before the last restart")
        history = History()
        for log, process in clients:
            self.assertEqual(process.wait(120), 0, "a client has calls without an answer")
            history.read_client(log)
        history.read_executions(self.system.executions)
        problems = history.judge()
        for word, answers in history.answers.items():
            if history.kinds[word] not in ONCE:
                continue
            for code, _ in answers:
                if code != "ok":
                    problems.append(f"{word} ended with {code}")
            if len(history.runs[word]) != 1:
                problems.append(f"{word} ran {len(history.runs[word])} times")
        for name, began, ended in restarts:
            print(f"{name}: {ended - began:.1f} s, longest pause "
                  f"{self.longest_pause(history, began, ended)} ms")
        print(json.dumps(history.summary()))
        self.assertEqual(problems[:10], [])
        self.assertGreater(history.summary()["calls"], 1000)


if __name__ == "__main__":
    unittest.main()
