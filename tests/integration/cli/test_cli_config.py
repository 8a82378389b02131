"""Settings as an operator sees them: layers, origins, and mistakes with their place."""

import json
import pathlib
import tempfile
import unittest

from cli_case import run


class Config(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="cbconfig")
        self.addCleanup(directory.cleanup)
        self.file = pathlib.Path(directory.name) / "c.toml"

    def test_origin_of_every_value_is_shown(self):
        self.file.write_text('[broker]\nname = "b"\nredis = "unix:///r"\n')
        done = run("config", "show", "--origin", "-o", "json", "--config", str(self.file),
                   "--log-level", "debug", CALLBOARD_BROKER="tcp://h:1",
                   CALLBOARD_BROKER_NAME="env")
        shown = json.loads(done.stdout)
        self.assertEqual(shown["broker.redis"], {"value": "unix:///r", "origin": f"{self.file}:3"})
        self.assertEqual(shown["broker.name"], {"value": "env", "origin": "CALLBOARD_BROKER_NAME"})
        self.assertEqual(shown["client.broker"],
                         {"value": "tcp://h:1", "origin": "CALLBOARD_BROKER"})
        self.assertEqual(shown["log.level"], {"value": "debug", "origin": "--log-level"})
        self.assertEqual(shown["broker.shard"], {"value": 0, "origin": "default"})

    def test_mistakes_in_the_file_are_named_with_their_line(self):
        self.file.write_text("[broker]\n\nlissen = 1\n")
        for command in (["config", "show"], ["queue", "ls"], ["broker"], ["worker"], ["dev"]):
            done = run(*command, CALLBOARD_CONFIG=str(self.file))
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stderr,
                             f"callboard: {self.file}:3: there is no setting broker.lissen\n")

    def test_file_that_is_not_there_is_an_error(self):
        done = run("config", "show", "--config", str(self.file))
        self.assertEqual((done.returncode, done.stderr),
                         (2, f"callboard: cannot read {self.file}\n"))

    def test_template_is_a_file_that_changes_nothing(self):
        self.file.write_text(run("config", "template").stdout)
        self.assertEqual(run("config", "show", "--config", str(self.file)).stdout,
                         run("config", "show").stdout)

    def test_variable_that_nothing_reads_is_named(self):
        self.assertIn("not a setting: CALLBOARD_BROKER_LISSEN\n",
                      run("config", "show", CALLBOARD_BROKER_LISSEN="x").stdout)


if __name__ == "__main__":
    unittest.main()
