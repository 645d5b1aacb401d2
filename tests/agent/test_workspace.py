"""What a workspace takes from a repository, and that tests leave nothing in a sandbox."""

import os

import pytest

from agent.config import Settings
from agent.repository import capture, open_repository
from agent.workspace import _own_modules, make_workspace, unchanged
from tests.tools.conftest import open_box
from tools.testing.results import TestEnvironmentError


def test_own_modules_are_hidden_and_shared_ones_are_not():
    contents = {
        "shop/__init__.py": b"",
        "src/till/__init__.py": b"",
        "lib/cart/__init__.py": b"",
        "tool.py": b"",
        "setup.py": b"",
        "conftest.py": b"",
        "src/__init__.py": b"",
        "zope/__init__.py": b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
        "shop/deep/__init__.py": b"",
    }
    assert _own_modules(contents) == ("cart", "shop", "till", "tool")


def test_all_cores_may_work_as_long_as_the_tests_may_take(git_repo):
    with open_repository(git_repo({"test_a.py": "def test_a(): pass\n"})) as repo:
        tree = capture(repo)
    limits = make_workspace(tree, Settings(test_timeout=1500.0, sandbox="none")).spec.limits
    assert limits.cpu_seconds >= 1500 * (os.cpu_count() or 1)


def test_what_is_written_meanwhile_is_undone_also_by_an_error():
    with open_box({"a.py": "x = 1\n"}) as sandbox:
        sandbox.write("a.py", b"x = 2\n")
        with unchanged(sandbox):
            sandbox.write("build.log", b"built")
        with pytest.raises(TestEnvironmentError), unchanged(sandbox):
            sandbox.write("build.log", b"half")
            raise TestEnvironmentError("no tests")
        assert sandbox.run(["ls"]).stdout.split() == [b"a.py"]
        assert sandbox.read("a.py") == b"x = 2\n"
