"""The checks behind a failing one mean in a chain what they mean alone."""

import os
import subprocess
import sys

import pytest

from agent.fix.chain import together
from agent.fix.checks import Check
from tools.testing.detect import from_text


def check(text):
    return Check(text, from_text(text))


def run(root, *texts):
    """The exit code of a chain, run as a sandbox would, where no other `python` is found."""
    first, *kept = (check(text) for text in texts)
    python, *words = together(first, kept).command.argv
    assert python == "python"
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run([sys.executable, *words], cwd=root, env=environment).returncode


def test_each_check_means_what_it_means_alone(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1\n")
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_mine.py").write_text("import mine\n\n\ndef test():\n    assert mine.x == 1\n")
    assert run(tmp_path, "true", "pytest -p no:cacheprovider tests/test_mine.py") == 0
    assert run(tmp_path, "true", "pytest tests -k none") == 0
    assert run(tmp_path, "true", "python -c 'import pytest'") == 0
    shown = "python -c 'import os; assert os.environ.get(\"A\") is None'"
    assert run(tmp_path, "A=1 true", shown) == 0
    (tmp_path / "json.py").write_text("raise SystemExit(9)\n")
    assert run(tmp_path, "true", "true") == 0
    assert run(tmp_path, "true", "A=1 sh -c 'exit $A'", "true") == 1


@pytest.mark.parametrize(
    "texts", [("false", "true"), ("true", "false"), ("sh -c 'kill $$'", "true")]
)
def test_one_that_fails_fails_the_chain(tmp_path, texts):
    assert run(tmp_path, *texts) not in (0, 5)


def test_tests_by_id_stay_as_they_are():
    failing = check("pytest tests")
    assert together(failing, [check("true")]) is failing
