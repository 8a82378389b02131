"""The rows: what is measured side by side, and what each goal says of the medians. Contestants of a
row run in turn, round by round."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Contestant:
    name: str
    system: str  # of systems.SYSTEMS
    options: dict
    rate_of: tuple = ()  # (row, contestant, part): open loop at this part of that one's median rate
    rounds_max: int = 1000  # of what takes long to start


@dataclasses.dataclass(frozen=True)
class Goal:
    """`figure` of `who` against that of `base`: a quotient, at least or at most `limit`."""
    who: str
    figure: str
    base: str  # "" compares the figure itself
    limit: float
    at_least: bool
    base_figure: str = ""  # where it has another name there


@dataclasses.dataclass(frozen=True)
class Row:
    key: str
    title: str
    contestants: list
    goals: list


def many(calls, **more):
    return {"calls": calls, "window": 1000, **more}


RELAY_1 = Contestant("relay", "relay", {"batch": 1, "calls": 5000, "window": 1})
RELAY = Contestant("relay", "relay", many(300_000, batch=1))
BATCHED = Contestant("batched relay", "relay", many(1_000_000, batch=100))
DURABLE = Contestant("durable relay", "relay", many(400_000, batch=100, durable=True))
MEMORY = Contestant("Callboard, memory", "callboard", many(500_000))
KEPT = Contestant("Callboard, durable", "callboard", many(300_000, durable=True))


BACKLOG = Contestant("backlog", "callboard_backlog", {"calls": 1_000_000}, rounds_max=3)


def backlog_goals(who, part):
    """Both ways at least that part of the rate of row 4."""
    kept = "Callboard, durable"
    return [Goal(who, "submitted_per_s", kept, part, True, "calls_per_s"),
            Goal(who, "calls_per_s", kept, part, True)]


def callboard(name, calls, **options):
    return Contestant(name, "callboard", many(calls, **options))


def shared_by(clients, workers, actors):
    return {"clients": clients, "workers": workers, "actors": actors}


ROWS = [
    Row("1", "one call at a time, memory",
        [RELAY_1, Contestant("Callboard, memory", "callboard", {"calls": 5000, "window": 1}),
         Contestant("NATS request/reply", "nats",
                    {"calls": 2000, "window": 1, "part": "request"})],
        [Goal("Callboard, memory", "p50_us", "relay", 1.2, False)]),
    Row("2", "one call at a time, durable",
        [RELAY_1,
         Contestant("durable relay", "relay",
                    {"batch": 100, "calls": 5000, "window": 1, "durable": True}),
         Contestant("Callboard, durable", "callboard",
                    {"calls": 5000, "window": 1, "durable": True})],
        [Goal("Callboard, durable", "p50_us", "relay", 1.5, False)]),
    Row("3", "one client, one actor, memory",
        [RELAY, BATCHED, MEMORY,
         Contestant("NATS request/reply", "nats", many(200_000, part="request"))],
        [Goal("Callboard, memory", "calls_per_s", "batched relay", 0.6, True),
         Goal("Callboard, memory", "calls_per_s", "NATS request/reply", 2.5, True)]),
    Row("4", "one client, one actor, durable",
        [DURABLE, KEPT,
         Contestant("JetStream publish", "nats", many(150_000, part="publish")),
         Contestant("RabbitMQ publish", "rabbitmq", many(50_000), rounds_max=3)],
        [Goal("Callboard, durable", "calls_per_s", "durable relay", 1.3, True),
         Goal("Callboard, durable", "calls_per_s", "JetStream publish", 3, True)]),
    Row("5a", "4 clients, 4 workers, 32 actors",
        [MEMORY, callboard("4/4/32, memory", 500_000, **shared_by(4, 4, 32)),
         KEPT, callboard("4/4/32, durable", 300_000, durable=True, **shared_by(4, 4, 32))],
        [Goal("4/4/32, memory", "calls_per_s", "Callboard, memory", 0.9, True),
         Goal("4/4/32, durable", "calls_per_s", "Callboard, durable", 0.9, True)]),
    Row("5b", "one client over 1,000 actors",
        [MEMORY, callboard("1,000 actors, memory", 500_000, actors=1000),
         KEPT, callboard("1,000 actors, durable", 300_000, actors=1000, durable=True)],
        [Goal("1,000 actors, memory", "calls_per_s", "Callboard, memory", 0.9, True),
         Goal("1,000 actors, durable", "calls_per_s", "Callboard, durable", 0.9, True)]),
    Row("6", "16 clients on one serial actor",
        [MEMORY, callboard("16 clients, memory", 500_000, clients=16)],
        [Goal("16 clients, memory", "calls_per_s", "Callboard, memory", 1.1, True)]),
    Row("7", "a backlog of durable calls without a worker, then drained by one",
        [KEPT, BACKLOG, Contestant("backlog, 64 MiB", "callboard_backlog",
                                   {"calls": 1_000_000, "memory_max": 64 << 20}, rounds_max=3)],
        [*backlog_goals("backlog", 0.8), *backlog_goals("backlog, 64 MiB", 0.5),
         Goal("backlog", "redis_beyond_payload", "", 120, False),
         Goal("backlog", "broker_beyond_payload", "", 160, False)]),
    Row("8a", "cost as work grows, memory",
        [MEMORY, callboard("100,000 actors", 500_000, actors=100_000),
         callboard("8 workers, 32 actors", 500_000, workers=8, actors=32),
         Contestant("200 clients", "callboard",
                    {"calls": 500_000, "window": 100, "clients": 200})],
        [Goal("100,000 actors", "all_cpu_us", "Callboard, memory", 1.25, False),
         Goal("8 workers, 32 actors", "all_cpu_us", "Callboard, memory", 2.5, False),
         Goal("200 clients", "broker_cpu_us", "Callboard, memory", 2, False)]),
    Row("8b", "cost as the backlog grows, durable",
        [Contestant("backlog of 1,000 at a time", "callboard", many(300_000, durable=True)),
         BACKLOG],
        [Goal("backlog", "all_cpu_us", "backlog of 1,000 at a time", 1.25, False)]),
    Row("9", "actors created and called once",
        [callboard("created, memory", 50_000, work="create"),
         callboard("created, durable", 50_000, work="create", durable=True)],
        [Goal("created, memory", "calls_per_s", "", 50_000, True),
         Goal("created, memory", "broker_bytes", "", 512, False),
         Goal("created, memory", "worker_bytes", "", 2048, False)]),
    Row("10a", "open loop at half of row 3",
        [Contestant("relay", "relay", many(200_000, batch=1), ("3", "Callboard, memory", 0.5)),
         Contestant("Callboard, memory", "callboard", many(200_000),
                    ("3", "Callboard, memory", 0.5))],
        [Goal("Callboard, memory", "p99_us", "relay", 2, False)]),
    Row("10b", "open loop at half of row 4",
        [Contestant("relay", "relay", many(150_000, batch=1), ("4", "Callboard, durable", 0.5)),
         Contestant("Callboard, durable", "callboard", many(150_000, durable=True),
                    ("4", "Callboard, durable", 0.5))],
        [Goal("Callboard, durable", "p99_us", "relay", 3, False)]),
    Row("12", "async actor, each call waits for a timer of 1 ms",
        [Contestant("bare Asio", "timers", {"at_once": 1000}), MEMORY,
         Contestant("Callboard, async", "callboard",
                    {"calls": 300_000, "window": 4000, "work": "timer"})],
        [Goal("Callboard, async", "calls_per_s", "bare Asio|Callboard, memory", 0.8, True)]),
    Row("13", "the same work in other systems",
        [Contestant("Callboard, memory", "callboard_whole", many(500_000, calls_one=5000)),
         Contestant("Callboard, durable", "callboard_whole",
                    many(300_000, calls_one=5000, durable=True)),
         Contestant("Ray, Python", "ray", many(4000, calls_one=500), rounds_max=2),
         Contestant("Ray, C++", "ray_cpp", many(10_000, calls_one=500), rounds_max=2),
         Contestant("Celery and Redis", "celery", many(1000, calls_one=200), rounds_max=2),
         Contestant("gearmand, C", "gearman", many(10_000, calls_one=1000),
                    rounds_max=3)],
        [Goal("Callboard, memory", "calls_per_s", "Ray, Python", 300, True),
         Goal("Callboard, durable", "calls_per_s", "Ray, Python", 150, True),
         Goal("Callboard, memory", "p50_us", "Ray, Python", 0.6, False),
         Goal("Callboard, memory", "ready_ms", "Ray, Python", 1 / 8, False),
         Goal("Callboard, memory", "idle_bytes", "Ray, Python", 0.05, False)]),
]
