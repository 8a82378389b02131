"""How a result is shown: a table for the terminal, the same in Markdown, a plot in SVG."""

import html
import math

ROLES = ("client", "broker", "redis", "worker", "all others")
NAMES = {"calls_per_s": "calls/s", "p50_us": "p50", "p99_us": "p99", "ready_ms": "ready",
         "idle_bytes": "idle memory", "broker_bytes": "broker bytes per actor",
         "worker_bytes": "worker bytes per actor", "submitted_per_s": "submitted/s",
         "all_cpu_us": "CPU per call", "broker_cpu_us": "the broker's CPU per call",
         "redis_beyond_payload": "Redis, bytes beyond the payload of a waiting call",
         "broker_beyond_payload": "broker, bytes beyond the payload of a waiting call"}


def count(value):
    """Three digits are all that a figure of a shared machine is good for."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.{min(digits, 3)}f}"


def cells_of(result):
    median = result["median"]
    spread = f"{count(result['calls_per_s_low'])}–{count(result['calls_per_s_high'])}"
    by_role = {role: median[f"{role}_cpu_us"] for role in ROLES if f"{role}_cpu_us" in median}
    cpu = " ".join(f"{role} {count(us)}" for role, us in by_role.items())
    if by_role:
        cpu = f"{count(median['all_cpu_us'])}: {cpu}"
    extra = []
    if "rate" in median:
        extra.append(f"open loop, {count(median['rate'])}/s")
    if "ready_ms" in median:
        extra.append(f"ready {count(median['ready_ms'])} ms")
    if "idle_bytes" in median:
        extra.append(f"idle {count(median['idle_bytes'] / 2**20)} MiB")
    if "submitted_per_s" in median:
        extra.append(f"submitted {count(median['submitted_per_s'])}/s, beyond the payload "
                     f"Redis {count(median['redis_beyond_payload'])} B, "
                     f"broker {count(median['broker_beyond_payload'])} B")
    return [result["contestant"], count(median["calls_per_s"]), spread, count(median.get("p50_us")),
            count(median.get("p99_us")), cpu, ", ".join(extra)]


HEAD = ["", "calls/s", "spread", "p50 us", "p99 us", "CPU us per call", ""]


def goal_text(goal):
    sign = "≥" if goal["at_least"] else "≤"
    against = f" × {goal['base'].replace('|', ' or ')}" if goal["base"] else ""
    met = {True: "met", False: "NOT met", None: "not measured"}[goal["met"]]
    return (f"{goal['who']}, {NAMES.get(goal['figure'], goal['figure'])}: "
            f"{count(goal['value'])}{against} (goal {sign} {count(goal['limit'])}): {met}")


def rows_of(summary):
    for key, title in summary["titles"].items():
        results = [each for each in summary["results"] if each["row"] == key]
        goals = [each for each in summary["goals"] if each["row"] == key]
        skipped = [each for each in summary["skipped"] if each["row"] == key]
        if results or skipped:
            yield key, title, results, goals, skipped


def table(summary):
    lines = [f"{summary['date']}, {summary['rounds']} rounds, {summary['machine']}",
             ", ".join(f"{name} {version}" for name, version in summary["versions"].items())]
    cells = [HEAD] + [cells_of(each) for each in summary["results"]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEAD))]

    def line(row):
        parts = [row[0].ljust(widths[0])] + [row[i].rjust(widths[i]) for i in range(1, 5)]
        return "  " + "  ".join(parts + [row[5].ljust(widths[5]), row[6]]).rstrip()

    for key, title, results, goals, skipped in rows_of(summary):
        lines += ["", f"{key}  {title}", line(HEAD)]
        lines += [line(cells_of(each)) for each in results]
        lines += [f"    {goal_text(each)}" for each in goals]
        lines += [f"    {'FAILED' if each['failed'] else 'SKIPPED'} {each['contestant']}: "
                  f"{each['why'][:200]}" for each in skipped]
    return "\n".join(lines)


def markdown(summary):
    lines = ["| row | who | calls/s | spread | p50 µs | p99 µs | CPU µs per call | |",
             "|---|---|---|---|---|---|---|---|"]
    for key, title, results, _, _ in rows_of(summary):
        lines.append(f"| **{key}** | **{title}** | | | | | | |")
        lines += [f"| | {' | '.join(cells_of(each))} |" for each in results]
    lines += ["", "| row | goal | | |", "|---|---|---|---|"]
    for goal in summary["goals"]:
        if goal["value"] is None:
            continue
        said, met = goal_text(goal).rsplit(": ", 1)
        what, rest = said.split(": ", 1)
        lines.append(f"| {goal['row']} | {what} | {rest} | {met} |")
    return "\n".join(lines)


PANELS = (("Many calls on their way: calls per second", "calls_per_s", ("3", "4", "13")),
          ("One call at a time: p50 in microseconds", "p50_us", ("1", "2", "13")))
COLOURS = {"Callboard": "#2166ac", "relay": "#999999", "": "#d6812f"}


def colour_of(name):
    return next(colour for word, colour in COLOURS.items() if word in name)


def svg(summary):
    """Bars on a logarithmic scale; blue is Callboard, grey the bare relays, orange the others."""
    left, width, step = 190, 470, 22
    parts, y = [], 24
    for title, figure, rows in PANELS:
        bars = {}
        for result in summary["results"]:
            if result["row"] in rows and result["median"].get(figure):
                bars.setdefault(result["contestant"], result["median"][figure])
        if not bars:
            continue
        parts.append(f'<text x="8" y="{y}" font-weight="bold">{title}</text>')
        low = 10 ** math.floor(math.log10(min(bars.values())))
        high = 10 ** math.ceil(math.log10(max(bars.values())) + 1e-9)
        scale = width / max(math.log10(high / low), 1)
        bottom = y + 10 + step * len(bars)
        for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
            x = left + math.log10(10 ** power / low) * scale
            parts.append(f'<line x1="{x:.0f}" y1="{y + 8}" x2="{x:.0f}" y2="{bottom}" '
                         f'stroke="#cccccc"/><text x="{x:.0f}" y="{bottom + 14}" fill="#666666" '
                         f'text-anchor="middle">{10 ** power:,}</text>')
        for name, value in sorted(bars.items(), key=lambda bar: bar[1]):
            y += step
            long = max(math.log10(value / low) * scale, 2)
            parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">'
                         f'{html.escape(name)}</text><rect x="{left}" y="{y - 8}" '
                         f'width="{long:.0f}" height="15" fill="{colour_of(name)}"/>'
                         f'<text x="{left + long + 5:.0f}" y="{y + 4}">{count(value)}</text>')
        y = bottom + 44
    machine = summary["machine"]
    caption = html.escape(f"{summary['date'][:10]}, {machine['cores']} cores "
                          f"({machine['processor']}), {machine['memory_gib']} GiB, Linux "
                          f"{machine['kernel']}, median of {summary['rounds']} rounds")
    parts.append(f'<text x="8" y="{y - 10}" fill="#666666">{caption}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 80}" height="{y}" '
            f'font-family="sans-serif" font-size="12">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
