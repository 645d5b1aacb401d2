"""Which checks a repository has, and which tests a file touches."""

import sys
from pathlib import Path

import pytest

from agent.config import Settings
from agent.fix.checks import choose_checks
from agent.fix.environment import has_program, project_environment
from agent.fix.touched import touched_tests
from agent.status import EnvironmentFailure, UsageError
from agent.verify.protected import is_protected


def shown(files, passed, *, checks=(), installed=lambda name: True, notes=None):
    contents = {name: text.encode() for name, text in files.items()}
    note = (notes if notes is not None else []).append
    made = choose_checks(Settings(checks=checks), contents, passed, installed, note)
    return [check.shown for check in made]


def test_what_a_project_declares_is_run():
    files = {
        "pyproject.toml": "[tool.ruff]\n[tool.mypy]\nfiles = ['a.py']\n[tool.pytest.ini_options]\n",
        "a.py": "",
        "test_a.py": "import a\n",
    }
    ruff, mypy, tests = shown(files, ["a.py"])
    assert ruff.startswith("ruff check --no-fix")
    assert ruff.endswith("concise a.py")
    assert (mypy, tests) == ("mypy", "pytest test_a.py")
    assert shown(files, ["README.md"]) == []


@pytest.mark.parametrize(
    ("files", "passed", "expected"),
    [
        ({"ruff.toml": "", "a.py": ""}, "a.py", ["ruff check"]),
        ({"mypy.ini": "[mypy]\n", "a.py": ""}, "a.py", ["mypy a.py"]),
        ({"setup.cfg": "[mypy]\npackages = a\n", "a.py": ""}, "a.py", ["mypy"]),
        ({"go.mod": "", "a.go": ""}, "a.go", ["go test ./..."]),
        ({"Cargo.toml": "", "a.rs": ""}, "a.rs", ["cargo test"]),
        ({"Cargo.toml": "", "a.py": ""}, "a.py", None),
    ],
)
def test_checks_are_recognised(files, passed, expected):
    if expected is None:
        with pytest.raises(UsageError, match="none were recognised"):
            shown(files, [passed])
        return
    found = shown(files, [passed])
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_configured_checks_and_their_placeholders():
    files = {"a b.py": "", "-x.py": "", "c.txt": "", "{tests}.txt": ""}
    passed = ["a b.py", "-x.py", "c.txt"]
    assert shown(files, ["{tests}.txt"], checks=("a {files} {files}",)) == [
        "a '{tests}.txt' '{tests}.txt'"
    ]
    checks = ("lint {files}", "type {python}", "pytest {tests}", "make all")
    assert shown(files, passed, checks=checks) == [
        "lint 'a b.py' ./-x.py c.txt",
        "type 'a b.py' ./-x.py",
        "make all",
    ]


def test_what_is_not_installed_is_said():
    files = {"ruff.toml": "", "mypy.ini": "[mypy]\n", "a.py": ""}
    notes = []
    assert len(shown(files, ["a.py"], installed=lambda name: name == "ruff", notes=notes)) == 1
    assert "mypy" in notes[0]
    with pytest.raises(EnvironmentFailure, match="ruff, mypy") as caught:
        shown(files, ["a.py"], installed=lambda name: False)
    assert "additional_dependencies" in caught.value.hint


def test_a_file_touches_the_tests_that_import_it():
    files = {
        "src/pkg/__init__.py": "",
        "src/pkg/base.py": "",
        "src/pkg/middle.py": "from .base import x\n",
        "src/pkg/deep/__init__.py": "",
        "src/pkg/deep/leaf.py": "from .. import middle\n",
        "src/pkg/alone.py": "",
        "tests/conftest.py": "",
        "tests/helpers.py": "import pkg.alone\n",
        "tests/test_leaf.py": "from pkg.deep import (\n    leaf,\n)\n",
        "tests/test_base.py": "import os, pkg.base as b\n",
        "tests/test_alone.py": "def test():\n    from helpers import x\n",
        "other/test_other.py": "import os\n",
    }
    contents = {name: text.encode() for name, text in files.items()}

    def touched(*passed):
        return [Path(path).stem for path in touched_tests(contents, passed)]

    assert touched("src/pkg/base.py") == ["test_base", "test_leaf"]
    assert touched("src/pkg/middle.py") == ["test_leaf"]
    assert touched("src/pkg/alone.py") == ["test_alone"]
    assert touched("src/pkg/__init__.py") == ["test_alone", "test_base", "test_leaf"]
    assert touched("tests/conftest.py") == ["test_alone", "test_base", "test_leaf"]
    assert touched("other/test_other.py") == ["test_other"]
    assert len(touched("pyproject.toml")) == 4
    assert touched("README.md") == []


def test_a_hook_runs_checks_in_the_projects_environment(tmp_path, monkeypatch):
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "bin" / "tool").symlink_to(sys.executable)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:/usr/bin")
    monkeypatch.delenv("PRE_COMMIT", raising=False)
    assert project_environment(tmp_path, frozenset()) is None
    monkeypatch.setenv("PRE_COMMIT", "1")
    assert project_environment(tmp_path, frozenset()) == str(venv.resolve())
    assert project_environment(tmp_path, frozenset({".venv"})) is None
    assert has_program(str(venv), "tool")
    assert not has_program(None, "tool")
    elsewhere = tmp_path / "empty"
    elsewhere.mkdir()
    assert project_environment(elsewhere, frozenset()) is None
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:{venv}/bin:/usr/bin")
    assert project_environment(elsewhere, frozenset()) == str(venv.resolve())


def test_only_named_files_may_be_changed():
    only = ("secret.py", "!a.py", "!tests/test_a.py", "!secret.py")
    assert not is_protected("a.py", only)
    assert is_protected("b.py", only)
    assert is_protected("tests/test_a.py", only)
    assert is_protected("secret.py", only)
