"""The last line of scripts/test says what happened, also when a program died before it could."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import summarize  # noqa: E402


def case(name, failed=False, result="COMPLETED"):
    return {"name": name, "classname": "Suite", "result": result,
            **({"failures": [{"failure": "why"}]} if failed else {})}


class Verdict(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = pathlib.Path(folder.name)
        (self.build / "test-results").mkdir()
        self.tests = []

    def program(self, name, status="run", cases=None):
        self.tests.append(f'<testcase name="{name}" status="{status}"><system-out>said</system-out>'
                          "</testcase>")
        if cases is not None:
            report = {"testsuites": [{"name": "Suite", "testsuite": cases}]}
            (self.build / f"test-results/{name}.json").write_text(json.dumps(report))

    def last_line(self):
        listing = f"<testsuite>{''.join(self.tests)}</testsuite>"
        (self.build / "test-results/ctest.xml").write_text(listing)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = summarize.main([str(self.build)])
        return output.getvalue().splitlines()[-1], status

    def test_long_failures_are_shown_with_their_head_and_their_end(self):
        lines = [f"line {number}" for number in range(1000)]
        shown = summarize.shorten("\n".join(lines))
        self.assertEqual((shown[0], shown[-1]), ("line 0", "line 999"))
        self.assertEqual(len(shown), summarize.TAIL_LINES + 1)
        self.assertEqual(summarize.shorten("one\ntwo"), ["one", "two"])

    def test_cases_of_all_programs_are_added_up(self):
        self.program("a", cases=[case("X"), case("Y")])
        self.program("b", cases=[case("Z")])
        self.assertEqual(self.last_line(), ("3 passed, 0 failed", 0))

    def test_a_failed_case_makes_the_run_fail(self):
        self.program("a", "fail", [case("X"), case("Y", failed=True)])
        self.assertEqual(self.last_line(), ("1 passed, 1 failed", 1))

    def test_a_program_that_crashed_before_its_report_counts_as_failed(self):
        self.program("a", cases=[case("X")])
        self.program("b", "fail")
        self.assertEqual(self.last_line(), ("1 passed, 1 failed", 1))

    def test_a_program_that_crashed_while_it_ended_counts_as_failed(self):
        self.program("a", "fail", [case("X")])
        self.assertEqual(self.last_line(), ("1 passed, 1 failed", 1))

    def test_half_a_report_is_no_report(self):
        self.program("a", "fail")
        (self.build / "test-results/a.json").write_text('{"testsuites": [')
        self.assertEqual(self.last_line(), ("0 passed, 1 failed", 1))

    def test_a_program_that_is_not_there_counts_as_failed(self):
        self.program("a", cases=[case("X")])
        self.program("b", "notrun")
        self.assertEqual(self.last_line(), ("1 passed, 1 failed", 1))

    def test_skipped_cases_are_neither_passed_nor_failed(self):
        self.program("a", cases=[case("X"), case("Y", result="SKIPPED")])
        self.assertEqual(self.last_line(), ("1 passed, 0 failed", 0))

    def test_a_run_without_tests_is_a_failure(self):
        self.assertEqual(self.last_line(), ("0 passed, 1 failed", 1))

    def test_a_run_that_skipped_everything_is_a_failure(self):
        self.program("a", cases=[case("X", result="SKIPPED")])
        self.assertEqual(self.last_line(), ("0 passed, 1 failed", 1))

    def test_a_report_of_a_sanitizer_is_a_failure(self):
        self.program("a", cases=[case("X")])
        (self.build / "sanitizer-reports").mkdir()
        (self.build / "sanitizer-reports/a.tsan.17").write_text("WARNING: data race")
        self.assertEqual(self.last_line(), ("1 passed, 1 failed", 1))
