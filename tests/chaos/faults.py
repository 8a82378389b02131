"""What breaks a system: processes, the network, Redis. Each fault is counted when it struck."""

import collections
import functools
import os
import random
import signal
import time

NETWORK_KINDS = ("delay", "stall", "one_way", "half_close", "cut_in_frame")
NETWORK_LONGEST_S = 6.0


class Faults:
    """One fault after the other; what was stopped goes on again, what has ended is started."""

    def __init__(self, system, clients, seed, only=()):
        self.system, self.clients = system, clients
        self.random = random.Random(seed)
        self.count = collections.Counter()
        self.later = []   # (when, a repair that says whether it worked)
        self.pauses = []  # (process id, from ms, to ms)
        self.bytes_lost = 0
        self.kinds = {  # name: what it does, and how many cards it has
            "kill_broker": (self.kill_broker, 3), "pause_broker": (self.pause_broker, 2),
            "end_broker": (self.end_broker, 1), "kill_child": (self.kill_child, 4),
            "pause_child": (self.pause_child, 2), "kill_worker": (self.kill_worker, 2),
            "pause_worker": (self.pause_worker, 1), "end_worker": (self.end_worker, 2),
            "lose_host": (self.lose_host, 2), "kill_client": (self.kill_client, 1),
            "kill_redis": (self.kill_redis, 1), "pause_redis": (self.pause_redis, 1),
            "power_loss": (self.power_loss, 2), "full_memory": (self.full_memory, 1),
            "full_disk": (self.full_disk, 1)}
        for group in ("peer", "store"):
            for kind in NETWORK_KINDS:
                self.kinds[f"{group}_{kind}"] = (functools.partial(self.network, group, kind), 1)
        if only:
            self.kinds = {name: self.kinds[name] for name in only}
        self.deck = list(self.kinds)  # one of each, before there are more of some
        self.random.shuffle(self.deck)

    def one(self):
        """Draws the next card of a shuffled deck, so that no kind waits for ever."""
        if not self.deck:
            self.deck = [name for name, (_, cards) in self.kinds.items() for _ in range(cards)]
            self.random.shuffle(self.deck)
        name = self.deck.pop()
        if self.kinds[name][0]() is False:  # there was nothing to hit: later
            self.deck.insert(self.random.randrange(len(self.deck) + 1), name)
        elif not name.startswith(("peer_", "store_")):
            self.count[name] += 1

    def struck(self):
        """Everything that happened, the proxy's part included."""
        report = self.system.network.tell(do="report")
        return {**self.count, **report}

    def never_struck(self):
        struck = self.struck()
        return [name for name in self.kinds if not struck.get(name)]

    def kills(self):
        """Processes that ended without a word."""
        per_fault = {"kill_broker": 1, "kill_child": 1, "kill_worker": 3, "lose_host": 3,
                     "kill_client": 1, "kill_redis": 1, "power_loss": 1, "full_disk": 1}
        return sum(self.count[name] * n for name, n in per_fault.items())

    # --- time ------------------------------------------------------------------------------------

    def after(self, longest, repair):
        self.later.append((time.monotonic() + self.random.uniform(0.2, longest), repair))

    def repair(self, everything=False):
        still = []
        for when, repair in self.later:
            if not everything and time.monotonic() < when or repair() is False:
                still.append((when, repair))
        self.later = still
        if everything:
            self.system.network.tell(do="heal")

    def pause(self, pid, longest):
        from_ms = int(time.time() * 1000)
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return False

        def wake():
            self.pauses.append((pid, from_ms, int(time.time() * 1000)))
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
            return True

        self.after(longest, wake)
        return True

    # --- processes -------------------------------------------------------------------------------

    def a_child(self):
        children = [pid for worker in self.system.workers if worker.running
                    for pid in self.system.children(worker)]
        return self.random.choice(children) if children else None

    def a_running(self, parts):
        running = [part for part in parts if part.running]
        return self.random.choice(running) if running else None

    def kill(self, part):
        if part is None:
            return False
        part.end(signal.SIGKILL)
        return True

    @staticmethod
    def ask_to_end(part):
        if part is None:
            return False
        part.send(signal.SIGTERM)
        return True

    def kill_broker(self):
        return self.kill(self.a_running(self.system.brokers))

    def end_broker(self):
        return self.ask_to_end(self.a_running(self.system.brokers))

    def pause_broker(self):
        broker = self.a_running(self.system.brokers)
        return self.pause(broker.child.pid, 5.0) if broker else False

    def kill_child(self):
        child = self.a_child()
        if child is None:
            return False
        os.kill(child, signal.SIGKILL)
        return True

    def pause_child(self):
        child = self.a_child()
        return self.pause(child, 5.0) if child else False

    def kill_worker(self):
        return self.kill(self.a_running(self.system.workers))

    def end_worker(self):
        return self.ask_to_end(self.a_running(self.system.workers))

    def pause_worker(self):
        worker = self.a_running(self.system.workers)
        return self.pause(worker.child.pid, 5.0) if worker else False

    def lose_host(self):
        """All processes of a worker at once, and with them what could tell of their calls."""
        worker = self.a_running(self.system.workers)
        if worker is None:
            return False
        self.system.lose_host(worker)
        return True

    def kill_client(self):
        return self.clients.kill_one(self.random)

    # --- Redis -----------------------------------------------------------------------------------

    def kill_redis(self):
        return self.kill(self.a_running([self.system.redis]))

    def pause_redis(self):
        redis = self.system.redis
        return self.pause(redis.child.pid, 3.0) if redis.running else False

    def power_loss(self):
        if not self.system.redis.running:
            return False
        self.bytes_lost += self.system.redis.cut_power()
        return True

    def full_memory(self):
        redis = self.system.redis
        used = redis.used_memory()
        if used is None:
            return False
        spare = self.random.choice([-1024, 64 * 1024, 1 << 20])

        def set_limit(size):
            answer = redis.ask("CONFIG", "SET", "maxmemory", size)
            # After a restart it is as the command line says.
            return answer is not None or not redis.running

        if not set_limit(used + spare):
            return False
        self.after(3.0, lambda: set_limit(redis.MEMORY_MAX))
        return True

    def full_disk(self):
        redis = self.system.redis
        if not redis.running:
            return False
        redis.limit_files(redis.log_size() + self.random.randrange(16 * 1024))
        self.after(3.0, lambda: redis.limit_files(-1))
        return True

    # --- the network -----------------------------------------------------------------------------

    def network(self, group, kind):
        seconds = self.random.uniform(0.2, NETWORK_LONGEST_S)
        answer = self.system.network.tell(do=kind, group=group, seconds=seconds)
        return answer["on"] is not None
