"""The README's example is the one that is compiled, its commands do what it says, links lead
somewhere."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["CALLBOARD_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["CALLBOARD_BINARY_DIR"])
HELLO = ("counter.hpp", "counter.cpp", "client.cpp")
HELLO_LINES_MAX = 30
PATIENCE_S = 60


def blocks(text, language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [block for name, block in fenced if name == language]


def anchors(text):
    """The names under which a document's headings are reached."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def documents():
    return [path for path in ROOT.rglob("*.md")
            if not {"build", ".deps", ".git"} & set(path.relative_to(ROOT).parts)]


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = (ROOT / "README.md").read_text()

    def test_example_is_the_one_that_is_compiled(self):
        files = [(ROOT / "examples/hello" / name).read_text() for name in HELLO]
        self.assertEqual(blocks(self.text, "cpp"), files)

    def test_first_actor_and_client_have_less_than_thirty_lines(self):
        self.assertLess(sum(block.count("\n") for block in blocks(self.text, "cpp")),
                        HELLO_LINES_MAX)

    def test_commands_of_the_example_print_what_the_readme_says(self):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", 7700)) == 0:
                self.skipTest("port 7700, which the README's example uses, is in use")
        block = next(b for b in blocks(self.text, "") if "hello_client" in b)
        serve, ask = (line.split("#")[0].split() for line in block.splitlines())
        self.assertEqual(serve.pop(), "&")
        first, second = re.search(r"# (\d+), and (\d+) when run again", block).groups()
        base = tempfile.mkdtemp(prefix="cbdocs", dir="/tmp")
        self.addCleanup(shutil.rmtree, base, ignore_errors=True)
        dev = subprocess.Popen(self.as_built(serve), stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "XDG_RUNTIME_DIR": base,
                                    "CALLBOARD_CONFIG": "/dev/null"})
        self.addCleanup(self.end, dev)
        self.assertIn("ready", dev.stdout.readline())
        for expected in (first, second):
            done = subprocess.run(self.as_built(ask), capture_output=True, text=True, check=False,
                                  timeout=PATIENCE_S)
            self.assertEqual((done.stdout, done.stderr), (expected + "\n", ""))

    @staticmethod
    def as_built(words):
        """The words of a command, with the folder of this build instead of the README's."""
        return [re.sub(r"^build/release", str(BUILD), word) for word in words]

    @staticmethod
    def end(process):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)


class Links(unittest.TestCase):
    def test_links_between_documents_lead_somewhere(self):
        self.assertGreater(len(documents()), 5)
        wrong = []
        for path in documents():
            text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
            for link in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", link):
                    continue  # elsewhere
                name, _, anchor = link.partition("#")
                target = (path.parent / name) if name else path
                if not target.exists():
                    wrong.append(f"{path.relative_to(ROOT)}: {link}")
                elif anchor and anchor not in anchors(target.read_text()):
                    wrong.append(f"{path.relative_to(ROOT)}: {link} (no such heading)")
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
