"""What must not compile does not, and the compiler says why in a sentence."""

import os
import pathlib
import subprocess
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# What is wrong in calls.cpp -> what must stand in the compiler's answer.
SENTENCES = {
    "WRONG_ARGUMENT": "an argument does not convert to the parameter's type",
    "TOO_FEW_ARGUMENTS": "wrong number of arguments for this method",
    "TOO_MANY_ARGUMENTS": "wrong number of arguments for this method",
    "WRONG_FUTURE": "an argument does not convert to the parameter's type",
    "METHOD_NOT_DESCRIBED": "the class's describe() does not list this method",
    "METHOD_DESCRIBED_TWICE": "the method is described twice",
    "TWO_METHODS_OF_ONE_NAME": "two methods of one name",
    "PARAMETER_THAT_IS_CHANGED": "a remote method cannot take a reference that it could change",
    "BATCH_OF_NO_LIST": "a batched method is",
    "WRONG_CONSTRUCTOR": "an argument does not convert to the parameter's type",
    "FUTURE_FOR_A_CONSTRUCTOR": "a constructor takes values",
    "NO_DESCRIPTION": "the class has no describe(callboard::Class<C>) that can be found",
    "ARGUMENT_WITHOUT_CODEC": "a parameter's type has no callboard::Codec",
    "RESULT_WITHOUT_CODEC": "a result's type needs a callboard::Codec",
    "WRONG_RESULT": "Future<int>",
}


def compile_with(definition=None):
    command = [os.environ.get("CALLBOARD_CXX", "c++"), "-std=c++20", "-fsyntax-only",
               f"-I{ROOT}/include", str(HERE / "calls.cpp")]
    if definition:
        command.append(f"-D{definition}")
    return subprocess.run(command, capture_output=True, text=True, check=False)


class CompileErrors(unittest.TestCase):
    def test_calls_that_are_right_compile(self):
        result = compile_with()
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_calls_that_are_wrong_are_refused_with_a_sentence(self):
        for definition, sentence in SENTENCES.items():
            with self.subTest(definition):
                result = compile_with(definition)
                self.assertNotEqual(result.returncode, 0, "it compiled")
                self.assertIn(sentence, result.stderr)
