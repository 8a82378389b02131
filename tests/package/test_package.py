"""A project outside of Callboard builds against the installed package, and what it built runs.

The built tree is installed into a folder, which is then moved: an installation may lie anywhere.
The project beside this file is built against it twice, with CMake's find_package and with
pkg-config alone, and its client calls its workers on a system that the installed `callboard` runs.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parent / "project"
BUILD = os.environ["CALLBOARD_BINARY_DIR"]
CXX = os.environ.get("CALLBOARD_CXX", "c++")
PATIENCE_S = 120

# What each program of the project is made of, for those who build without CMake.
PROGRAMS = {
    "client": ("callboard-client", ["project/client.cpp"], []),
    "own_worker": ("callboard-worker", ["project/worker.cpp", "project/greeter.cpp"], []),
    "libgreeter.so": ("", ["project/library.cpp", "project/greeter.cpp"], ["-shared", "-fPIC"]),
}


def environment(**changes):
    """This process's environment without settings of whoever runs the tests."""
    plain = {name: value for name, value in os.environ.items()
             if not name.startswith("CALLBOARD_")}
    return {**plain, "CALLBOARD_CONFIG": "/dev/null", **changes}


def run(*command, **changes):
    """Runs a command and gives its output; its failure is the test's."""
    done = subprocess.run([str(word) for word in command], env=environment(**changes),
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def start(*command, **changes):
    return subprocess.Popen([str(word) for word in command], env=environment(**changes),
                            stdout=subprocess.PIPE, text=True)


def end(process):
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)


class Package(unittest.TestCase):
    """The installed tree, and both ways to build against it; ways of testing what came of it."""

    @classmethod
    def setUpClass(cls):
        cls.base = pathlib.Path(tempfile.mkdtemp(prefix="cbpackage", dir="/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.base, ignore_errors=True)
        run("cmake", "--install", BUILD, "--prefix", cls.base / "first")
        cls.prefix = cls.base / "moved"
        (cls.base / "first").rename(cls.prefix)

    def check_programs(self, built):
        self.check_client_knows_no_more_than_the_header(built)
        self.assertEqual(self.answers(built, load=True), "hello, world (2)\n42\n")
        self.assertEqual(self.answers(built, load=False), "hello, world (2)\n42\n")

    def check_client_knows_no_more_than_the_header(self, built):
        code = {name: run("nm", "-C", built / name) for name in ("client", "own_worker")}
        greet = re.compile(r" [Tt] Greeter::greet\(")
        self.assertRegex(code["own_worker"], greet)
        self.assertNotRegex(code["client"], r" \w Greeter::greet\(")
        self.assertIn(" T callboard::worker_main(", code["own_worker"])
        self.assertNotIn(" T callboard::worker_main(", code["client"])
        self.assertNotRegex(run("nm", "-C", built / "libgreeter.so"), r" T callboard::Registry::")
        needed = run("readelf", "-d", built / "client")
        self.assertIn("libspdlog", needed)
        for library in ("libzmq", "hiredis", "hwloc", "toml", "boost"):
            self.assertNotIn(library, needed)

    def answers(self, built, load):
        """What the client prints when the library, or else the program, is the worker."""
        worker = ["--load", built / "libgreeter.so"] if load else ["--workers", "0"]
        dev = start(self.prefix / "bin/callboard", "dev", "--port", "0", "-o", "json", *worker,
                    XDG_RUNTIME_DIR=str(self.base))
        self.addCleanup(end, dev)
        line = dev.stdout.readline()
        self.assertTrue(line, "dev ended at once")
        endpoint = json.loads(line)["endpoint"]
        if not load:
            own = start(built / "own_worker", "--broker", endpoint, "--log-level", "error",
                        "--runtime-dir", self.base / "own")
            self.addCleanup(end, own)
        return run(built / "client", endpoint)


class FindPackage(Package):
    def test_project_that_finds_the_package_with_cmake_builds_and_runs(self):
        built = self.base / "with-cmake"
        run("cmake", "-S", PROJECT, "-B", built, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_CXX_COMPILER={CXX}",
            "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0")
        run("cmake", "--build", built)
        self.check_programs(built)

    def test_component_that_is_not_there_is_named(self):
        source = self.base / "wrong"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.24)\nproject(wrong LANGUAGES CXX)\n"
            "find_package(Callboard REQUIRED COMPONENTS telepathy)\n")
        with self.assertRaisesRegex(AssertionError, "Callboard has no component telepathy"):
            run("cmake", "-S", source, "-B", source / "build", "-G", "Ninja",
                f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_CXX_COMPILER={CXX}")


class PkgConfig(Package):
    def flags(self, what, package):
        """The flags as pkg-config gives them; a library for --load needs those of no library."""
        if not package:
            return self.flags("--cflags", "callboard-worker") if what == "--cflags" else []
        folder = next(self.prefix.glob("lib*/**/pkgconfig"))
        return run("pkg-config", what, package, PKG_CONFIG_PATH=str(folder)).split()

    def test_project_that_finds_the_package_with_pkg_config_builds_and_runs(self):
        built = self.base / "with-pkg-config"
        built.mkdir()
        for program, (package, sources, options) in PROGRAMS.items():
            files = [pathlib.Path(__file__).parent / source for source in sources]
            run(CXX, "-std=c++20", "-O0", *options, *self.flags("--cflags", package), *files,
                *self.flags("--libs", package), "-o", built / program)
        self.check_programs(built)


if __name__ == "__main__":
    unittest.main()
