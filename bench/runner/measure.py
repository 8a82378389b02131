"""Runs the rows: contestants in turn, round by round; medians, spreads and what the goals say."""

import datetime
import os
import platform
import statistics
import sys

from processes import Failed, Missing, output_of
from systems import ROOT, SYSTEMS, VENV

CALLS_MIN = 200


def note(text):
    print(text, file=sys.stderr, flush=True)


def flat(figures):
    """Figures of one run, with what is known by role under names of its own."""
    out = {key: value for key, value in figures.items() if not isinstance(value, dict)}
    for role, us in figures.get("cpu_us_per_call", {}).items():
        out[f"{role}_cpu_us"] = us
        out["all_cpu_us"] = out.get("all_cpu_us", 0) + us
    for role, grown in figures.get("bytes_per_call", {}).items():
        out[f"{role}_bytes"] = grown
    return out


def median_of(rounds):
    return {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}


class Run:
    def __init__(self, build, rounds, scale):
        self.build, self.rounds, self.scale = build, rounds, scale
        self.results = {}  # (row, contestant) -> figures of each round
        self.skipped = {}  # the same -> why
        self.failed = set()  # those of them that were there and did not do what they should

    def options_of(self, contestant, rows):
        options = dict(contestant.options)
        for name in ("calls", "calls_one"):
            if name in options:
                options[name] = max(int(options[name] * self.scale), CALLS_MIN)
        if contestant.rate_of:
            row, name, part = contestant.rate_of
            if (row, name) not in self.results:
                other = next(each for each in rows if each.key == row)
                self.one(row, next(each for each in other.contestants if each.name == name), rows)
            if (row, name) not in self.results:
                raise Failed(f"its rate comes from row {row}, which failed")
            rate = statistics.median(figures["calls_per_s"]
                                     for figures in self.results[row, name])
            options["rate"] = rate * part
        return options

    def word_of(self, key):
        return "FAILED" if key in self.failed else "SKIPPED"

    def one(self, row, contestant, rows):
        key = row, contestant.name
        if key in self.skipped:
            return
        try:
            options = self.options_of(contestant, rows)
            figures = flat(SYSTEMS[contestant.system](self.build, options))
        except (Missing, Failed) as error:
            # Whoever fails once may fail in each round; the others need not wait for it. Nor do
            # its earlier rounds count: they would be figures of something that does not work.
            self.skipped[key] = str(error)
            self.results.pop(key, None)
            if isinstance(error, Failed):
                self.failed.add(key)
            note(f"!!! {self.word_of(key)}: row {row}, {contestant.name}: {error}")
            return
        if "rate" in options:
            figures["rate"] = options["rate"]
        self.results.setdefault(key, []).append(figures)
        shown = f"{figures['calls_per_s']:>12,.0f}/s"
        if "p50_us" in figures:
            shown += f"   p50 {figures['p50_us']:,.0f} us   p99 {figures['p99_us']:,.0f} us"
        note(f"  {contestant.name:24} {shown}")

    def row(self, row, rows):
        for number in range(self.rounds):
            note(f"row {row.key}, {row.title}: round {number + 1} of {self.rounds}")
            for contestant in row.contestants:
                if number < contestant.rounds_max:
                    self.one(row.key, contestant, rows)


def value_of(run, row, goal):
    """Median over the rounds of the quotient within a round; or of the figure itself."""
    def figures_of(name, figure):
        return [figures.get(figure) for figures in run.results.get((row.key, name), [])]

    mine = figures_of(goal.who, goal.figure)
    base_figure = goal.base_figure or goal.figure
    bases = [figures_of(name, base_figure) for name in goal.base.split("|")] if goal.base else []
    if not mine or None in mine or any(not base or None in base for base in bases):
        return None
    if not bases:
        return statistics.median(mine)
    base = [min(each) for each in zip(*bases)]
    return statistics.median(a / b for a, b in zip(mine, base))


def summary_of(run, rows):
    results = []
    for (key, name), rounds in run.results.items():
        rates = [figures["calls_per_s"] for figures in rounds]
        results.append({"row": key, "contestant": name, "median": median_of(rounds),
                        "calls_per_s_low": min(rates), "calls_per_s_high": max(rates),
                        "rounds": rounds})
    goals = []
    for row in rows:
        for goal in row.goals:
            value = value_of(run, row, goal)
            met = None if value is None else (value >= goal.limit) == goal.at_least or \
                value == goal.limit
            goals.append({"row": row.key, "who": goal.who, "figure": goal.figure,
                          "base": goal.base, "limit": goal.limit, "at_least": goal.at_least,
                          "value": value, "met": met})
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
            "machine": machine(), "versions": versions(run.build), "policies": POLICIES,
            "rounds": run.rounds, "scale": run.scale,
            "titles": {row.key: row.title for row in rows}, "results": results, "goals": goals,
            "skipped": [{"row": key, "contestant": name, "why": why,
                         "failed": (key, name) in run.failed}
                        for (key, name), why in run.skipped.items()]}


POLICIES = {
    "Callboard, durable": "Redis appendonly yes, appendfsync everysec",
    "durable relay": "Redis appendonly yes, appendfsync everysec",
    "JetStream publish": "file store, fsync every 2 minutes (its default)",
    "RabbitMQ publish": "durable queue, persistent messages, confirmed; fsync as it chooses",
    "Celery and Redis": "Redis appendonly yes, appendfsync everysec; worker acknowledges early",
    "Ray, Python": "memory only",
    "Ray, C++": "memory only",
    "gearmand, C": "memory only",
    "NATS request/reply": "memory only",
}


def machine():
    model = ""
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"processor": model, "cores": os.cpu_count(), "memory_gib": round(pages / 2**30),
            "kernel": platform.release(), "load_before": round(os.getloadavg()[2], 1),
            "load_after": round(os.getloadavg()[0], 1)}


def packages(*names):
    """Versions of the distribution's packages; what is not installed is left out."""
    out = {}
    for name in names:
        version = output_of("dpkg-query", "-W", "-f", "${Version}", name)
        if version and "no packages found" not in version:
            out[name] = version
    return out


def versions(build):
    out = {"callboard": output_of(build / "cli/callboard", "--version").splitlines()[:1],
           **packages("libzmq5", "libhiredis0.14", "libhiredis1.1.0", "redis-server",
                      "nats-server", "libnats-dev", "gearman-job-server", "rabbitmq-server")}
    commit = output_of("git", "-C", ROOT, "rev-parse", "--short", "HEAD")
    out["callboard"] = " ".join([*out["callboard"], commit])
    for name in ("ray", "celery"):
        if (VENV / name).exists():
            ask = f"from importlib.metadata import version; print(version('{name}'))"
            out[name] = output_of(VENV / "python", "-c", ask)
    return out
