"""Adds up what a run of ctest left behind and prints "N passed, N failed" as its last line.

usage: summarize.py BUILD_DIRECTORY...
Read from each: test-results/ctest.xml (which programs ran and how they ended),
test-results/<test>.json (the cases of one program) and sanitizer-reports/* (what any process, also
one that a test started, was accused of).
A program that crashed, hung or failed without naming a case counts as one failed case more, a
sanitizer's report as one, and a run without tests is a failure.
"""

import json
import pathlib
import sys
import xml.etree.ElementTree

TAIL_LINES = 40


class Summary:
    def __init__(self):
        self.passed = 0
        self.failures = []  # (name, text)
        self.skipped = []  # (name, reason)

    def add_cases(self, test, report):
        """Adds the cases of one program; returns how many of them failed."""
        failed = 0
        for suite in report.get("testsuites", []):
            for case in suite.get("testsuite", []):
                name = f"{test}: {case.get('classname', suite['name'])}.{case['name']}"
                if case.get("failures"):
                    failed += 1
                    texts = [failure["failure"] for failure in case["failures"]]
                    self.failures.append((name, "\n".join(texts)))
                elif case.get("result") == "SKIPPED":
                    reasons = [entry.get("message", "") for entry in case.get("skipped", [])]
                    self.skipped.append((name, " ".join(reasons)))
                elif case.get("result") == "COMPLETED":
                    self.passed += 1
        return failed

    def add_program(self, test, status, output, report):
        ended_well = status == "run"
        if report is None:
            if ended_well:
                self.passed += 1
            else:
                self.failures.append((test, "ended without a report\n" + tail(output)))
            return
        failed = self.add_cases(test, report)
        if not ended_well and failed == 0:
            text = "every case passed, yet the program failed\n" + tail(output)
            self.failures.append((test, text))

    def add_build(self, build):
        results = build / "test-results"
        try:
            tests = xml.etree.ElementTree.parse(results / "ctest.xml").getroot().iter("testcase")
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            self.failures.append((f"{build.name}: ctest", f"left no list of tests: {error}"))
            return
        count = 0
        for test in tests:
            count += 1
            name = test.get("name")
            output = test.findtext("system-out") or ""
            self.add_program(f"{build.name}/{name}", test.get("status"), output,
                             read_report(results / f"{name}.json"))
        if count == 0:
            self.failures.append((build.name, "no tests were run"))
        for path in sorted((build / "sanitizer-reports").glob("*")):
            self.failures.append((f"{build.name}: sanitizer report {path.name}",
                                  tail(path.read_text(errors="replace"), first=True)))

    def verdict(self):
        return f"{self.passed} passed, {len(self.failures)} failed"


def tail(text, first=False):
    lines = text.rstrip().splitlines()
    return "\n".join(lines[:TAIL_LINES] if first else lines[-TAIL_LINES:])


def shorten(text):
    """The head and the end of a long text; all of it is in the report or the log."""
    lines = text.rstrip().splitlines()
    if len(lines) <= TAIL_LINES:
        return lines
    head, end = lines[:TAIL_LINES // 4], lines[-TAIL_LINES * 3 // 4:]
    return head + [f"... {len(lines) - len(head) - len(end)} lines, in test-results/"] + end


def read_report(path):
    """A program that died while it wrote leaves half a report; that is no report."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def main(arguments):
    summary = Summary()
    for build in arguments:
        summary.add_build(pathlib.Path(build))
    for name, reason in summary.skipped:
        print(f"SKIPPED {name}: {reason.strip()}")
    for name, text in summary.failures:
        print(f"FAILED {name}")
        print("\n".join("    " + line for line in shorten(text)))
    if summary.passed == 0 and not summary.failures:
        summary.failures.append(("tests", "nothing passed"))
        print("FAILED no test was run")
    print(summary.verdict())
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
