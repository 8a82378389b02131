"""What a reader should be able to rely on in this tree, checked: who may include what, length of
lines, files that nothing uses, calls that have no place here, names of tests, paths of one machine.

usage: tidy.py [--build DIRECTORY]    prints one line per finding
test_tidy.py runs the same rules as a test. Each rule is a function from a Tree to findings, so that
the test can plant a violation and see it caught.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

COLUMNS_MAX = 100
FILE_LINES_WARN = 400
TEST_NAME_WORDS_MIN = 3

CORES = ("broker/core/", "worker/core/", "client/core/")
LIBRARIES = ("common/", "broker/", "client/", "worker/", "config/", "embedded/")
PROGRAMS = ("cli/", "examples/", "bench/", "tests/")

# Directory -> the project's directories that it may include from, beside itself and
# include/callboard.
LAYERS = {
    "include": (),
    "common": (),
    "broker": ("common",),
    "client": ("common",),
    "worker": ("common", "client"),
    "config": ("common",),
    "embedded": ("common", "broker", "client", "worker", "config"),
    "cli": ("common", "broker", "client", "worker", "config", "embedded"),
}

# Third party header -> the only places that may include it. Tests, examples and benchmarks may
# include all.
HOMES = {
    r"zmq\.h(pp)?|zmq_addon\.hpp": (r"broker/transport/[a-z_]+\.cpp",
                                    r"cli/relay\.cpp"),  # raw on purpose
    r"hiredis/.*": (r"broker/store/[a-z_]+\.cpp",),
    r"hwloc.*": (r"worker/[a-z_/]+\.cpp",),
    r"boost/.*": (r"include/callboard/asio\.hpp", r"worker/[a-z_/]+\.[ch]pp"),
    r"msgpack.*": (r"include/callboard/msgpack\.hpp",
                   r"(?!broker/core|worker/core|client/core).*\.cpp"),
    r"CLI/.*": (r"cli/.*", r"config/[a-z_]+\.cpp", r"worker/worker_main\.cpp"),
    r"toml\+\+/.*": (r"config/[a-z_]+\.cpp",),
    r"nlohmann/.*": (r"cli/.*", r"config/[a-z_]+\.cpp"),
    r"spdlog/.*": (r"common/log[a-z_]*\.cpp",),
}

# A core is told the time, draws no lots and does no I/O, so it has no use for these.
CORE_FORBIDDEN_HEADERS = re.compile(
    r"thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|stop_token|"
    r"fstream|iostream|cstdio|stdio\.h|filesystem|ctime|time\.h|csignal|unistd\.h|"
    r"(sys|netinet|arpa|linux)/.*|poll\.h|fcntl\.h|pthread\.h")
CORE_FORBIDDEN_CODE = (
    (re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b"), "conditional compilation in a core"),
    (re.compile(r"_clock::now\b"), "a core is told the time"),
    (re.compile(r"\bsleep_(for|until)\b"), "a core never sleeps"),
    (re.compile(r"\b(getenv|random_device)\b"), "a core gets settings and seeds from outside"),
)

BANNED = (
    (re.compile(r"\bstd::rand\b|\bsrand\s*\("), "use a seeded generator", LIBRARIES + PROGRAMS),
    (re.compile(r"(?<![\w.>:])(?<!System )(?:std::)?system\s*\("), "no shell",
     LIBRARIES + PROGRAMS),
    (re.compile(r"\bpopen\s*\("), "no shell", LIBRARIES + ("cli/",)),
    (re.compile(r"\b(strcpy|strcat|sprintf|gets)\s*\("), "no unbounded copies",
     LIBRARIES + PROGRAMS),
    (re.compile(r"(?<!\w)(printf|puts|putchar)\s*\(|\bstd::(cout|cerr|clog)\b"),
     "a library logs, it does not print", LIBRARIES),
    (re.compile(r"\bassert\s*\("), "use CHECK, which stays on in release builds",
     LIBRARIES + ("cli/",)),
    (re.compile(r"^\s*using namespace std\s*;"), "say std::", LIBRARIES + PROGRAMS),
    (re.compile(r"\busleep\s*\(|\bsleep\s*\(\s*\d"), "use std::this_thread::sleep_for",
     LIBRARIES + ("cli/",)),
)

SOURCE_SUFFIXES = (".cpp", ".hpp")
COLUMN_SUFFIXES = SOURCE_SUFFIXES + (".h", ".c", ".cu", ".py", ".sh", ".cmake", "Lists.txt")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
MACHINE_PATH = re.compile(r"/(work|home|Users)/[A-Za-z0-9_]")
CPP_TEST = re.compile(r"^\s*(?:TEST|TEST_F|TEST_P|TYPED_TEST)\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)?")
PYTHON_TEST = re.compile(r"^\s+def (test\w*)\(")


class Tree:
    """The files of a checkout: path from the root -> text."""

    def __init__(self, files, built=None):
        self.files = files
        self.built = built  # paths that a target compiles, or None where no build is known

    @classmethod
    def read(cls, root, build=None):
        root = pathlib.Path(root)
        files = {}
        for name in list_files(root):
            path = root / name
            if path.is_file() and not path.is_symlink():
                try:
                    files[name] = path.read_text()
                except UnicodeDecodeError:
                    pass  # a picture
        return cls(files, read_built(root, build) if build else None)

    def sources(self, prefixes=None):
        for path, text in sorted(self.files.items()):
            if path.endswith(SOURCE_SUFFIXES) and (prefixes is None or path.startswith(prefixes)):
                yield path, text


def list_files(root):
    try:
        listing = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                                 capture_output=True, check=True)
        return [name for name in listing.stdout.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):  # a tarball, or no git on this machine
        skipped = {"build", ".deps", ".git", ".cache", "__pycache__"}
        return [str(path.relative_to(root)) for path in root.rglob("*")
                if not skipped & set(path.relative_to(root).parts)]


def read_built(root, build):
    commands = json.loads((pathlib.Path(build) / "compile_commands.json").read_text())
    root = root.resolve()
    paths = [pathlib.Path(command["directory"], command["file"]).resolve() for command in commands]
    for unity in [path for path in paths if path.parent.name == "Unity"]:  # a list of includes
        paths += map(pathlib.Path, re.findall(r'#include "(/[^"]+)"', unity.read_text()))
    return {str(path.relative_to(root)) for path in paths if path.is_relative_to(root)}


def code_lines(text):
    """Line number and code of each line, without comments and without what strings say."""
    in_block = False
    for number, line in enumerate(text.splitlines(), 1):
        if in_block:
            end = line.find("*/")
            if end < 0:
                continue
            line, in_block = line[end + 2:], False
        line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        line = re.sub(r"/\*.*?\*/", "", line)
        line = line.split("//", 1)[0]
        start = line.find("/*")
        if start >= 0:
            line, in_block = line[:start], True
        yield number, line


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(2)


def resolve(tree, name):
    """The path of an included file, if it is one of ours."""
    for path in (name, "include/" + name):
        if path in tree.files:
            return path
    return None


def is_core(path):
    return path.startswith(CORES)


def check_layers(tree):
    for path, text in tree.sources():
        directory = path.split("/", 1)[0]
        if directory not in LAYERS:
            continue
        for number, name in includes(text):
            target = resolve(tree, name)
            if target is None:
                continue
            other = target.split("/", 1)[0]
            if other not in (directory, "include") + LAYERS[directory]:
                yield f"{path}:{number}: {directory}/ may not include {name}"


def check_homes(tree):
    for path, text in tree.sources(LIBRARIES + ("include/", "cli/")):
        for number, name in includes(text):
            for header, homes in HOMES.items():
                at_home = any(re.fullmatch(home, path) for home in homes)
                if re.fullmatch(header, name) and not at_home:
                    yield f"{path}:{number}: <{name}> belongs in {' or '.join(homes)}"


def core_closure(tree):
    """Every file that a core consists of or includes, with the core file that leads to it."""
    reached = {path: path for path, _ in tree.sources(CORES)}
    todo = list(reached)
    while todo:
        path = todo.pop()
        for _, name in includes(tree.files[path]):
            target = resolve(tree, name)
            if target and target not in reached:
                reached[target] = reached[path]
                todo.append(target)
    return reached


def check_cores(tree):
    third_party = re.compile("|".join(HOMES))
    for path, origin in sorted(core_closure(tree).items()):
        reason = "" if path == origin else f" (included by the core through {origin})"
        for number, name in includes(tree.files[path]):
            if CORE_FORBIDDEN_HEADERS.fullmatch(name) or third_party.fullmatch(name):
                yield f"{path}:{number}: <{name}> has no place in a core{reason}"
        for number, line in code_lines(tree.files[path]):
            for pattern, why in CORE_FORBIDDEN_CODE:
                if pattern.search(line):
                    yield f"{path}:{number}: {why}{reason}"


def check_public_headers(tree):
    opt_in = {"include/callboard/asio.hpp": "boost/", "include/callboard/msgpack.hpp": "msgpack"}
    for path, text in tree.sources(("include/",)):
        for number, name in includes(text):
            ours = name.startswith("callboard/")
            standard = "/" not in name and "." not in name
            if not ours and not standard and not name.startswith(opt_in.get(path, "\0")):
                yield f"{path}:{number}: a public header includes only std, not {name}"
            if ours and resolve(tree, name) is None:
                yield f"{path}:{number}: {name} does not exist"
            if ours and path not in opt_in and "include/" + name in opt_in:
                yield f"{path}:{number}: {name} is opt-in; no other public header includes it"


def check_columns(tree):
    for path, text in sorted(tree.files.items()):
        if not path.endswith(COLUMN_SUFFIXES) and not path.startswith("scripts/"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > COLUMNS_MAX:
                yield f"{path}:{number}: {len(line)} columns, {COLUMNS_MAX} are allowed"
            if line != line.rstrip() or "\t" in line:
                yield f"{path}:{number}: a tab or trailing space"


def check_headers_open_with_words(tree):
    for path, text in tree.sources():
        if not path.endswith(".hpp"):
            continue
        lines = text.splitlines()
        if "#pragma once" not in lines:
            yield f"{path}:1: no #pragma once"
        if not any(line.startswith(("//", "/*")) for line in lines[:3]):
            yield f"{path}:1: does not open with what it is"


def compiled_by_scripts(tree):
    """Sources that a Python test compiles: the test is registered in the CMakeLists.txt of its
    folder, and names the source by its path from there, in quotes."""
    for path, text in tree.files.items():
        if not re.fullmatch(r"tests/.*/test_\w+\.py", path):
            continue
        folder, script = path.rsplit("/", 1)
        lists = tree.files.get(f"{folder}/CMakeLists.txt", "")
        if re.search(rf"\bFILE\s+{re.escape(script)}\b", lists):
            for name in re.findall(r'"([\w./-]+\.cpp)"', text):
                yield f"{folder}/{name}"


def check_dead_files(tree):
    included = set()
    for path, text in tree.sources():
        for _, name in includes(text):
            beside = str(pathlib.PurePosixPath(path).parent / name)
            target = resolve(tree, name) or (beside if beside in tree.files else None)
            if target and target != path:
                included.add(target)
    by_scripts = set(compiled_by_scripts(tree))
    for path, _ in tree.sources():
        if path.endswith(".hpp") and path not in included:
            yield f"{path}: no file includes it"
        if path.endswith(".cpp") and tree.built is not None:
            if path not in tree.built and path not in by_scripts:
                yield f"{path}: no target compiles it, and no test's script names it"


def check_banned_calls(tree):
    for path, text in tree.sources():
        allowed_to_print = path == "common/check.cpp"  # it speaks its last words
        for number, line in code_lines(text):
            for pattern, why, where in BANNED:
                if path.startswith(where) and pattern.search(line):
                    if not (allowed_to_print and "print" in why):
                        yield f"{path}:{number}: {why}: {line.strip()}"


def words_in(name):
    return len(re.findall(r"[A-Z]+[a-z0-9]*|[0-9]+", name))


def check_test_names(tree):
    for path, text in sorted(tree.files.items()):
        if not path.startswith("tests/"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            cpp = CPP_TEST.match(line) if path.endswith(".cpp") else None
            if cpp and ("_" in cpp.group(2) or words_in(cpp.group(2)) < TEST_NAME_WORDS_MIN):
                yield f"{path}:{number}: a test's name is a sentence, not {cpp.group(2)}"
            python = PYTHON_TEST.match(line) if path.endswith(".py") else None
            if python and len(python.group(1).split("_")) <= TEST_NAME_WORDS_MIN:
                yield f"{path}:{number}: a test's name is a sentence, not {python.group(1)}"


def check_machine_paths(tree):
    for path, text in sorted(tree.files.items()):
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line):
                yield f"{path}:{number}: a path of one machine"


RULES = (check_layers, check_homes, check_cores, check_public_headers, check_columns,
         check_headers_open_with_words, check_dead_files, check_banned_calls, check_test_names,
         check_machine_paths)


def long_files(tree):
    """Not a finding, only something to look at."""
    for path, text in tree.sources():
        count = text.count("\n")
        if count > FILE_LINES_WARN:
            yield f"{path}: {count} lines; is it still one noun?"


def main():
    parser = argparse.ArgumentParser(description="prints what is out of order in the tree")
    parser.add_argument("--build", help="a build directory, to find files that no target compiles")
    options = parser.parse_args()
    tree = Tree.read(pathlib.Path(__file__).resolve().parents[2], options.build)
    findings = [finding for rule in RULES for finding in rule(tree)]
    for line in findings:
        print(line)
    for line in long_files(tree):
        print(f"note: {line}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
