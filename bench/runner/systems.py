"""The systems under test: how each is started, and which program puts the load on it. A system is a
function of a build directory and a dict of options; it returns the figures of one run."""

import json
import os
import pathlib
import re
import subprocess

import backlog
from processes import (Failed, Missing, Stage, descendants, find_program, free_port, memory_bytes,
                       output_of)

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench/peers"
VENV = ROOT / ".deps/bench/bin"
LOAD_OPTIONS = ("calls", "first", "window", "payload", "clients", "actors", "rate", "timeout")
TIMEOUT_S = 120


def program(build, name):
    path = build / "bench" / name
    if not path.exists():
        raise Missing(f"{name} is not built")
    return path


def load(command, options, roles, env=None):
    """Runs a load program; the figures that it prints."""
    words = [str(word) for word in command]
    for name in LOAD_OPTIONS:
        if options.get(name):
            words += [f"--{name}", str(int(options[name]))]
    for role, pids in roles.items():
        words += ["--cpu", f"{role}={','.join(map(str, pids))}"]
    return last_json(words, options, env)


def last_json(words, options, env=None):
    limit = options.get("timeout", TIMEOUT_S) + 30
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, timeout=limit,
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{words[0]}: not done after {limit} s") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    figures = json.loads(lines[-1]) if lines else {}
    if done.returncode != 0 or not figures:
        raise Failed(f"{pathlib.Path(words[0]).name}: {figures or ''} {done.stderr[-500:]}")
    return figures


def start_redis(stage, *under):
    """As Callboard starts its own: appendonly, everysec. `under`: what its command follows."""
    path = f"{stage.folder}/redis.sock"
    redis = stage.start(*under, find_program("redis-server"), "--port", 0, "--unixsocket", path,
                        "--dir", stage.folder, "--save", "", "--appendonly", "yes",
                        "--appendfsync", "everysec", "--maxmemory-policy", "noeviction",
                        "--auto-aof-rewrite-min-size", "256mb", "--rdbcompression", "no")
    stage.wait(lambda: os.path.exists(path), redis, "socket")
    return path, redis


def relay(build, options):
    """batch: messages in a frame at most; durable: with a commit in Redis."""
    relay_program = program(build, "bench_relay")
    with Stage() as stage:
        port, back = free_port(), f"ipc://{stage.folder}/back.sock"
        front = f"tcp://127.0.0.1:{port}"
        common = ["--batch", options["batch"], "--payload", options.get("payload", 64)]
        roles, more = {}, []
        if options.get("durable"):
            path, redis = start_redis(stage)
            more, roles["redis"] = ["--redis", path], [redis.pid]
        workers = options.get("workers", 1)
        middle = stage.start(relay_program, "relay", "--front", front, "--back", back,
                             "--echoes", workers, *common, *more)
        stage.wait_port(port, middle)
        roles["broker"] = [middle.pid]
        roles["worker"] = [stage.start(relay_program, "echo", "--back", back, *common).pid
                           for _ in range(workers)]
        return load([relay_program, "load", "--front", front, "--batch", options["batch"]],
                    options, roles)


def timers(build, options):
    return last_json([program(build, "bench_timers"), "--at-once", options["at_once"]], options)


def one_and_many(load_with, options):
    """The figures of many calls on their way, with the latencies of one at a time."""
    one = load_with({**options, "window": 1, "calls": options["calls_one"]})
    many = load_with({**options, "first": 1_000_000_000})
    return {**many, "p50_us": one["p50_us"], "p99_us": one["p99_us"]}


class Callboard:
    """A system of `callboard dev`; its Redis appends to a file, as it would in earnest."""

    def __init__(self, stage, build, options):
        self.program = build / "cli/callboard"
        if not self.program.exists():
            raise Missing("callboard is not built")
        self.library = program(build, "libbench_actors.so")
        dev = stage.start(self.program, "-o", "json", "dev", "--port", 0,
                          "--load", self.library, "--workers", options.get("workers", 1),
                          "--data", f"{stage.folder}/data", env=self.settings(options),
                          stdout=subprocess.PIPE)
        line = dev.stdout.readline()
        if not line:
            raise Failed(f"callboard dev: {stage.log()[-500:]}")
        said = json.loads(line)
        self.endpoint, self.ready_ms = said["endpoint"], said["ready_ms"]
        pids = said["pids"]
        self.roles = {"broker": [pids["broker"]], "redis": [pids["redis"]],
                      "worker": descendants(pids["worker"]) if pids.get("worker") else []}
        self.everything = descendants(dev.pid) + [pids["keeper"], *sum(self.roles.values(), [])]

    def settings(self, options):
        """memory_max: bytes that waiting calls may take in the broker."""
        if "memory_max" not in options:
            return None
        if "#memory_max =" not in output_of(self.program, "config", "template"):
            raise Missing("the broker has no setting memory_max: all waiting calls are in memory")
        return {"CALLBOARD_BROKER_MEMORY_MAX": str(options["memory_max"])}

    def redis_socket(self):
        health = json.loads(output_of(self.program, "--broker", self.endpoint, "-o", "json",
                                      "health"))
        return health["redis"].removeprefix("unix://")

    def start_worker(self, stage):
        return stage.start(self.program, "--broker", self.endpoint, "worker",
                           "--load", self.library)

    def load(self, build, options):
        return load([program(build, "bench_callboard"), "--broker", self.endpoint,
                     "--work", options.get("work", "echo"),
                     "--durability", "durable" if options.get("durable") else "memory"],
                    options, self.roles)


def callboard(build, options):
    with Stage() as stage:
        return Callboard(stage, build, options).load(build, options)


def callboard_backlog(build, options):
    with Stage() as stage:
        system = Callboard(stage, build, {**options, "workers": 0})
        calls, payload = options["calls"], options.get("payload", 64)
        command = [program(build, "bench_backlog"), "--broker", system.endpoint, "--calls", calls,
                   "--payload", payload]
        return backlog.measure(stage, system, command, options, calls, payload)


def callboard_whole(build, options):
    """As callboard, and how it starts and idles: figures like those of Ray and Celery."""
    with Stage() as stage:
        system = Callboard(stage, build, options)
        idle = memory_bytes(set(system.everything))
        return {**one_and_many(lambda now: system.load(build, now), options),
                "ready_ms": system.ready_ms, "idle_bytes": idle}


def python_peer(name):
    def run(build, options):
        python = VENV / "python"
        if not (VENV / name).exists():
            raise Missing(f"{name} is not installed; bench/setup does that")
        with Stage() as stage:
            words = [python, PEERS / f"{name}_load.py", "--folder", stage.folder,
                     "--calls", options["calls"], "--calls-one", options["calls_one"],
                     "--window", options["window"], "--payload", options.get("payload", 64)]
            if name == "celery":
                words += ["--redis", start_redis(stage)[0]]
            return last_json(words, options, {"RAY_USAGE_STATS_ENABLED": "0"})
    return run


def ray_cpp(build, options):
    peer, library = program(build, "bench_ray"), program(build, "libbench_ray_actor.so")
    if not (VENV / "ray").exists():
        raise Missing("ray is not installed; bench/setup does that")
    # Its C++ drivers know nothing of tokens, so its head listens without while this is measured.
    env = {"RAY_AUTH_MODE": "disabled"}
    with Stage() as stage:
        port = free_port()
        head = stage.start(VENV / "ray", "start", "--head", "--block", "--port", port,
                           "--num-cpus", 2,
                           "--include-dashboard", "false", "--object-store-memory", 200 << 20,
                           "--temp-dir", stage.folder, "--disable-usage-stats", env=env)
        stage.wait(lambda: "Ray runtime started" in stage.log(), head, "Ray", 60)
        # Its drivers look for a node of the address that Ray finds for this machine.
        address = re.search(r"Local node IP: ([\d.]+)", stage.log())[1]
        command = [peer, "--address", f"{address}:{port}", "--library", library]
        return one_and_many(lambda now: load(command, now, {}, env), options)


def nats(build, options):
    """part: request (round trips) or publish (to a stream on file)."""
    peer = program(build, "bench_nats")
    with Stage() as stage:
        port = free_port()
        server = stage.start(find_program("nats-server", "/usr/sbin/nats-server"), "-a",
                             "127.0.0.1", "-p", port, "-js", "-sd", stage.folder)
        stage.wait_port(port, server)
        url, roles = f"nats://127.0.0.1:{port}", {"broker": [server.pid]}
        if options["part"] == "request":
            echo = stage.start(peer, "echo", "--url", url, stdout=subprocess.PIPE)
            echo.stdout.readline()
            roles["worker"] = [echo.pid]
        return load([peer, options["part"], "--url", url], options, roles)


def gearman(build, options):
    peer = program(build, "bench_gearman")
    with Stage() as stage:
        port = free_port()
        server = stage.start(find_program("gearmand", "/usr/sbin/gearmand"), "-L", "127.0.0.1",
                             "-p", port, "--log-file", "stderr")
        stage.wait_port(port, server)
        worker = stage.start(peer, "echo", "--port", port)
        roles = {"broker": [server.pid], "worker": [worker.pid]}
        return one_and_many(lambda now: load([peer, "load", "--port", port], now, roles), options)


def rabbitmq(build, options):
    peer = program(build, "bench_rabbitmq")
    server_program = find_program("/usr/lib/rabbitmq/bin/rabbitmq-server")
    with Stage() as stage:
        port, names, distribution = free_port(), free_port(), free_port()
        folder = stage.folder
        config = pathlib.Path(folder, "rabbitmq.conf")
        config.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
        server = stage.start(server_program, env={
            "RABBITMQ_NODENAME": f"bench{port}@localhost", "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder, "RABBITMQ_CONFIG_FILE": str(config), "HOME": folder,
            "RABBITMQ_DIST_PORT": str(distribution), "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid"})
        # Erlang leaves its name server behind, which listens to us only.
        stage.callback(subprocess.run, ["epmd", "-port", str(names), "-kill"],
                       capture_output=True, stdin=subprocess.DEVNULL)
        stage.wait_port(port, server, 60)
        return load([peer, "--port", port], options, {"broker": descendants(server.pid)})


SYSTEMS = {"relay": relay, "timers": timers, "callboard": callboard,
           "callboard_backlog": callboard_backlog, "callboard_whole": callboard_whole,
           "nats": nats, "gearman": gearman, "rabbitmq": rabbitmq,
           "ray": python_peer("ray"), "ray_cpp": ray_cpp, "celery": python_peer("celery")}
