"""Runs one Python unittest file and writes its counts in the shape of GoogleTest's JSON report.

usage: run_unittest.py FILE [unittest arguments]
GTEST_OUTPUT=json:PATH names the report, as for the C++ tests, so that one summary reads both.
"""

import importlib.util
import json
import os
import pathlib
import sys
import time
import unittest


class Recorder(unittest.TextTestResult):
    """Keeps one record per test case, in the words of GoogleTest's report."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.records = {}

    def startTest(self, test):
        super().startTest(test)
        self._record(test)

    def _record(self, test):
        name = test.id().split(".", 1)[-1].rstrip(")")  # of a class: "setUpClass (file.Class)"
        return self.records.setdefault(name, {"name": name, "result": "COMPLETED", "failures": []})

    def _fail(self, test, error):
        self._record(test)["failures"].append({"failure": self._exc_info_to_string(error, test)})

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(test, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._record(test).update(result="SKIPPED", skipped=[{"message": reason}])


def load(path):
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def write_report(target, suite, records):
    failed = sum(1 for record in records if record["failures"])
    report = {"tests": len(records), "failures": failed, "name": suite,
              "testsuites": [{"name": suite, "testsuite": records}]}
    path = pathlib.Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1))


def main():
    path = pathlib.Path(sys.argv[1]).resolve()
    started = time.monotonic()
    runner = unittest.TextTestRunner(resultclass=Recorder, verbosity=2, stream=sys.stdout)
    program = unittest.main(module=load(path), argv=[path.name] + sys.argv[2:], exit=False,
                            testRunner=runner)
    records = list(program.result.records.values())
    kind, _, target = os.environ.get("GTEST_OUTPUT", "").partition(":")
    if kind == "json" and target:
        write_report(target, path.stem, records)
    print(f"{len(records)} cases in {time.monotonic() - started:.1f} s")
    return 0 if records and program.result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
