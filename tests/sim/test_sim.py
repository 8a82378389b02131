"""The real cores keep their promises in simulated worlds, and a seed means one history."""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ["CALLBOARD_BINARY_DIR"]) / "tests/sim/callboard_sim"
TIMEOUT_S = 560


def instrumented():
    """Sanitizers cost ten times the time: fewer worlds then."""
    program = PROGRAM.read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def simulate(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S)


class Simulation(unittest.TestCase):
    def check(self, *arguments):
        run = simulate(*arguments, "--tail", "60")
        self.assertEqual(0, run.returncode, run.stdout[-12_000:] + run.stderr)
        self.assertRegex(run.stdout, r"\d+ seeds, \d+ calls, 0 failed\n$")

    def check_many(self, seeds, faults):
        """Everything must have occurred often enough, where there are worlds enough for it."""
        if instrumented():
            self.check("--seeds", f"1..{seeds // 10}", "--faults", faults)
        else:
            self.check("--seeds", f"1..{seeds}", "--faults", faults, "--require-coverage")

    def test_an_undisturbed_world_keeps_every_promise(self):
        self.check("--seeds", "1..100", "--faults", "none")

    def test_crashing_workers_break_no_promise_and_leave_nothing_behind(self):
        self.check_many(600, "worker")

    def test_network_and_store_faults_break_no_promise_and_all_of_them_fire(self):
        self.check_many(300, "network,store")

    def test_a_thousand_worlds_with_all_faults_keep_every_promise_and_all_of_them_fire(self):
        self.check_many(1000, "all")

    def test_a_store_that_goes_back_loses_what_it_forgot_and_nothing_hangs(self):
        self.check_many(300, "all,backup")

    def test_large_worlds_that_once_broke_a_promise_keep_it(self):
        for seed in (8058, 9976, 10757, 18303, 20355, 20362, 54233, 69075, 74913, 78648):
            self.check("--seed", str(seed), "--faults", "all", "--scale", "10")

    def digest_of(self, seed):
        output = simulate("--seed", str(seed), "-v").stdout
        return re.search(r"digest ([0-9a-f]{16})", output).group(1)

    def test_the_same_seed_gives_the_same_history(self):
        self.assertEqual(self.digest_of(7), self.digest_of(7))
        self.check("--seeds", "1..20", "--check-replay")

    def test_another_seed_gives_another_history(self):
        self.assertEqual(5, len({self.digest_of(seed) for seed in range(1, 6)}))

    def test_every_planted_bug_still_applies(self):
        patches = sorted((ROOT / "tests/sim/planted").glob("*.patch"))
        self.assertGreaterEqual(len(patches), 20)
        for patch in patches:
            with self.subTest(patch.stem):
                check = subprocess.run(
                    ["git", "apply", "--check", patch], cwd=ROOT, capture_output=True, text=True)
                self.assertEqual(0, check.returncode, check.stderr)

    def test_a_bad_argument_is_a_usage_error(self):
        self.assertEqual(2, simulate("--seeds", "9..1").returncode)
        self.assertEqual(2, simulate("--faults", "weather").returncode)


if __name__ == "__main__":
    unittest.main()
