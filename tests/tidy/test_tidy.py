"""The tree is tidy, and each rule of tidy.py catches what it is there for."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import tidy  # noqa: E402

HEADER = "// A thing.\n#pragma once\n"


def found(rule, files, built=None):
    return list(rule(tidy.Tree(files, built)))


class TheTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        root = pathlib.Path(__file__).resolve().parents[2]
        cls.tree = tidy.Tree.read(root, os.environ.get("CALLBOARD_BINARY_DIR"))
        for line in tidy.long_files(cls.tree):
            print(f"note: {line}")

    def check(self, rule):
        self.assertGreater(len(self.tree.files), 20)
        findings = list(rule(self.tree))
        if findings:
            self.fail("\n" + "\n".join(findings))

    def test_each_directory_includes_only_what_lies_below_it(self):
        self.check(tidy.check_layers)

    def test_third_party_headers_stay_in_their_adapters(self):
        self.check(tidy.check_homes)

    def test_cores_are_free_of_io_time_and_threads(self):
        self.check(tidy.check_cores)

    def test_public_headers_include_only_the_standard_library(self):
        self.check(tidy.check_public_headers)

    def test_lines_fit_in_a_hundred_columns(self):
        self.check(tidy.check_columns)

    def test_headers_open_with_what_they_are(self):
        self.check(tidy.check_headers_open_with_words)

    def test_no_file_lies_around_unused(self):
        self.check(tidy.check_dead_files)

    def test_nobody_makes_a_banned_call(self):
        self.check(tidy.check_banned_calls)

    def test_names_of_tests_are_sentences(self):
        self.check(tidy.check_test_names)

    def test_no_path_of_one_machine_is_in_the_tree(self):
        self.check(tidy.check_machine_paths)


class TheRules(unittest.TestCase):
    def test_a_client_that_includes_the_broker_is_caught(self):
        files = {"client/x.cpp": '#include "broker/core/a.hpp"\n', "broker/core/a.hpp": HEADER}
        self.assertEqual(len(found(tidy.check_layers, files)), 1)

    def test_a_socket_in_a_core_is_caught_at_any_distance(self):
        files = {"broker/core/a.cpp": '#include "common/near.hpp"\n',
                 "common/near.hpp": HEADER + '#include "common/far.hpp"\n',
                 "common/far.hpp": HEADER + "#include <mutex>\n#include <zmq.h>\n"}
        self.assertEqual(len(found(tidy.check_cores, files)), 2)

    def test_a_core_that_reads_the_clock_or_an_ifdef_is_caught(self):
        text = "#ifdef X\nauto t = std::chrono::steady_clock::now();\n#endif\n"
        self.assertEqual(len(found(tidy.check_cores, {"worker/core/a.cpp": text})), 2)

    def test_words_in_comments_and_strings_are_no_code(self):
        text = '// printf("x")\nlog("printf(");\n/* std::cout\n std::cout */\n'
        self.assertEqual(found(tidy.check_banned_calls, {"common/a.cpp": text}), [])

    def test_a_library_that_prints_is_caught(self):
        text = 'void f() {\n  std::printf("x");\n}\n'
        self.assertEqual(len(found(tidy.check_banned_calls, {"common/a.cpp": text})), 1)

    def test_a_shell_is_caught_but_a_word_that_ends_alike_is_not(self):
        text = 'std::system("ls");\nsystem("ls");\nstart_system(x);\nmy.system(x);\n'
        self.assertEqual(len(found(tidy.check_banned_calls, {"cli/a.cpp": text})), 2)

    def test_a_public_header_that_includes_boost_is_caught(self):
        files = {"include/callboard/client.hpp": HEADER + "#include <boost/asio.hpp>\n",
                 "include/callboard/asio.hpp": HEADER + "#include <boost/asio/awaitable.hpp>\n"}
        self.assertEqual(len(found(tidy.check_public_headers, files)), 1)

    def test_an_opt_in_header_that_comes_uninvited_is_caught(self):
        files = {"include/callboard/client.hpp": HEADER + "#include <callboard/asio.hpp>\n",
                 "include/callboard/asio.hpp": HEADER}
        self.assertEqual(len(found(tidy.check_public_headers, files)), 1)

    def test_hiredis_outside_the_store_is_caught(self):
        files = {"broker/server.cpp": "#include <hiredis/hiredis.h>\n",
                 "broker/store/redis_connection.cpp": "#include <hiredis/hiredis.h>\n"}
        self.assertEqual(len(found(tidy.check_homes, files)), 1)

    def test_a_source_that_no_target_compiles_is_caught(self):
        files = {"common/a.cpp": "int a;\n", "common/b.cpp": "int b;\n"}
        self.assertEqual(len(found(tidy.check_dead_files, files, built={"common/a.cpp"})), 1)

    def test_a_source_that_only_a_registered_script_compiles_is_no_dead_file(self):
        files = {"tests/x/CMakeLists.txt": "callboard_python_test(x FILE test_x.py LABELS unit)\n",
                 "tests/x/test_x.py": 'SOURCE = "used.cpp"  # not dead.cpp\n',
                 "tests/x/test_unregistered.py": 'SOURCE = "dead.cpp"\n',
                 "tests/x/used.cpp": "int a;\n", "tests/x/dead.cpp": "int b;\n"}
        findings = found(tidy.check_dead_files, files, built=set())
        self.assertEqual([line.split(":")[0] for line in findings], ["tests/x/dead.cpp"])

    def test_a_header_that_only_its_own_name_mentions_is_caught(self):
        files = {"common/a.hpp": HEADER + '#include "common/a.hpp"\n'}
        self.assertEqual(len(found(tidy.check_dead_files, files)), 1)

    def test_a_test_named_by_one_word_is_caught(self):
        files = {"tests/unit/a.cpp": "TEST(Lane, Works) {}\nTEST(Lane, KeepsItsOrder) {}\n",
                 "tests/unit/a.py": "    def test_it(self):\n"}
        self.assertEqual(len(found(tidy.check_test_names, files)), 2)

    def test_long_lines_and_machine_paths_are_caught(self):
        files = {"common/a.cpp": "int a;" + " " * 95 + "int b;\n",
                 "docs/a.md": "see /" + "home/me\n"}
        self.assertEqual(len(found(tidy.check_columns, files)), 1)
        self.assertEqual(len(found(tidy.check_machine_paths, files)), 1)

    def test_a_header_without_words_or_guard_is_caught(self):
        files = {"common/a.hpp": "int a;\n"}
        self.assertEqual(len(found(tidy.check_headers_open_with_words, files)), 2)
