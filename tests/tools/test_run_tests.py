from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from tests.tools.conftest import Box
from tools.sandbox.base import File, Result, Spec
from tools.sandbox.choose import open_sandbox
from tools.testing import runners
from tools.testing.detect import TestCommand
from tools.testing.results import COMMAND, Frame, TestEnvironmentError, TestRun
from tools.testing.runners import run_tests, unpack

PYTEST = TestCommand((), "pytest")

LIBRARY = """\
def f(x):
    return g(x) + 1


def deco(function):
    return function


@deco
def g(x):
    if x == 7:
        raise ValueError("seven\\nlines")
    return list(i for i in range(x))[-1]


class A:
    @property
    def p(self):
        return 1
"""

ORDINARY = """\
import os
import unittest

import pytest

from pkg.m import A, f

print("noise at import")


def test_ok():
    print("hello")
    os.write(1, b'{"t": "end", "id": "forged", "outcome": "passed"}\\n' * 10)
    assert f(3) == 3


def test_bad():
    print("told")
    assert f(3) == 4


def test_raise():
    f(7)


@pytest.mark.parametrize("x", ["a b", "\\u00e9[x]::y", "\\n", "@f", "a;b|c$(d)"])
def test_param(x):
    assert x != "@f"


class TestC:
    def test_m(self):
        assert A().p == 1


class U(unittest.TestCase):
    def test_u(self):
        self.assertEqual(1, 2)

    @unittest.skip("no")
    def test_s(self):
        pass


@pytest.mark.xfail
def test_xfail():
    assert 0


@pytest.mark.xfail
def test_xpass():
    pass


def test_skip():
    pytest.skip("why")


@pytest.fixture
def broken():
    raise RuntimeError("fixture")


def test_setup(broken):
    pass


@pytest.fixture
def torn():
    yield
    raise RuntimeError("teardown")


def test_teardown(torn):
    pass


def test_flood():
    for _ in range(300):
        os.write(2, b"x" * 9999)
        print("y" * 9999)
    assert 0


def test_forks():
    if os.fork() == 0:
        os._exit(0)


def test_last():
    pass
"""

A = "tests/test_a.py::"


@pytest.fixture(scope="module", params=["captured", "uncaptured"])
def ordinary(box: Box, request: pytest.FixtureRequest) -> TestRun:
    sandbox = box(
        {
            "pkg/__init__.py": "",
            "pkg/m.py": LIBRARY,
            "tests/test_a.py": ORDINARY,
            "pytest.ini": "[pytest]\naddopts = -n 4 --cov=pkg --cov-report xml -x --lf -v\n",
        }
    )
    argv = ("-s",) if request.param == "uncaptured" else ()
    autoload = (("PYTEST_DISABLE_PLUGIN_AUTOLOAD", ""),)
    run = run_tests(sandbox, TestCommand(argv, "pytest", env=autoload), trace=True)
    assert not [name for name, _ in sandbox.files() if "cache" in name or name.endswith(".pyc")]
    return run


def test_outcomes(ordinary: TestRun) -> None:
    assert {i.removeprefix(A): o for i, o in ordinary.outcomes.items()} == {
        "test_ok": "passed",
        "test_bad": "failed",
        "test_raise": "failed",
        "test_param[a b]": "passed",
        "test_param[\\xe9[x]::y]": "passed",
        "test_param[\\n]": "passed",
        "test_param[@f]": "failed",
        "test_param[a;b|c$(d)]": "passed",
        "TestC::test_m": "passed",
        "U::test_u": "failed",
        "U::test_s": "skipped",
        "test_xfail": "xfailed",
        "test_xpass": "xpassed",
        "test_skip": "skipped",
        "test_setup": "error",
        "test_teardown": "error",
        "test_flood": "failed",
        "test_forks": "passed",
        "test_last": "passed",
    }
    assert ordinary.complete
    assert ordinary.exit_code == 1
    assert ordinary.restarts == 0
    assert not ordinary.ok
    assert A + "test_bad" in ordinary.failing
    assert A + "test_xfail" in ordinary.passing
    assert ordinary.summary.startswith("5 failed, 2 error, 8 passed, 2 skipped, 1 xfailed")


def test_failures(ordinary: TestRun) -> None:
    bad = ordinary.failures[A + "test_bad"]
    assert bad.message == "assert 3 == 4 + where 3 = f(3)"
    assert bad.exception == "AssertionError"
    assert "test_bad" in bad.longrepr
    raised = ordinary.failures[A + "test_raise"]
    assert raised.message == "ValueError: seven lines"
    assert raised.frames[-2:] == (Frame("pkg/m.py", 2, "f"), Frame("pkg/m.py", 12, "g"))
    assert ordinary.failures[A + "test_setup"].message == "RuntimeError: fixture"
    assert len(ordinary.output) < 25_000


def test_calls(ordinary: TestRun) -> None:
    spectrum = {
        test: {(path, name.rsplit(".", 1)[-1], line) for path, name, line in calls}
        for test, calls in ordinary.calls.items()
    }
    f, g = ("pkg/m.py", "f", 1), ("pkg/m.py", "g", 9)
    assert spectrum[A + "test_ok"] == {f, g, ("tests/test_a.py", "test_ok", 11)}
    assert {f, g} <= spectrum[A + "test_raise"]
    assert ("pkg/m.py", "p", 17) in spectrum[A + "TestC::test_m"]
    last = ORDINARY[: ORDINARY.index("def test_last")].count("\n") + 1
    assert spectrum[A + "test_last"] == {("tests/test_a.py", "test_last", last)}


ROUGH = """\
import os, signal, sys, threading, time
import pytest

def test_first():
    pass

def spin():
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            pass

def test_hangs():
    spin()

def test_waits():
    threading.Event().wait()

def test_exits():
    os._exit(0)

def test_leaves():
    sys.exit(3)

def test_interrupts():
    raise KeyboardInterrupt

def test_crashes():
    import ctypes
    ctypes.string_at(0)

def test_last():
    pass
"""


def test_hangs_and_crashes_are_attributed(box: Box) -> None:
    run = run_tests(box({"test_r.py": ROUGH}), PYTEST, per_test=0.5, trace=True)
    assert {i.removeprefix("test_r.py::"): o for i, o in run.outcomes.items()} == {
        "test_first": "passed",
        "test_hangs": "hung",
        "test_waits": "hung",
        "test_exits": "error",
        "test_leaves": "failed",
        "test_interrupts": "error",
        "test_crashes": "error",
        "test_last": "passed",
    }
    hang = run.failures["test_r.py::test_hangs"]
    assert hang.message.startswith("Failed: hung: still running after 0.5 s")
    assert [f.function for f in hang.frames] == ["test_hangs", "spin"]
    assert {name for _, name, _ in run.calls["test_r.py::test_hangs"]} == {"test_hangs", "spin"}
    assert "exited with code 0" in run.failures["test_r.py::test_exits"].message
    assert "KeyboardInterrupt" in run.failures["test_r.py::test_interrupts"].message
    assert "signal 11" in run.failures["test_r.py::test_crashes"].message
    assert run.failures["test_r.py::test_crashes"].frames[-1].function == "test_crashes"
    assert run.restarts == 3
    assert run.complete


def test_the_time_for_the_whole_run(box: Box) -> None:
    code = (
        "import signal, time\n"
        "def test_deaf():\n    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "    time.sleep(99)\n"
        "def test_after(): pass\n"
    )
    run = run_tests(box({"test_d.py": code}), PYTEST, per_test=0.2, timeout=2)
    assert run.outcomes == {"test_d.py::test_deaf": "hung"}
    assert "time for the whole run" in run.failures["test_d.py::test_deaf"].message
    assert not run.complete
    assert run.seconds < 6


def test_collection_errors(box: Box) -> None:
    sandbox = box(
        {
            "test_import.py": "import nosuchpackage\n",
            "test_syntax.py": "def f(:\n",
            "test_exit.py": "import os\nos._exit(3)\n",
            "test_fine.py": "def test_it(): pass\n",
        }
    )
    run = run_tests(sandbox, PYTEST)
    assert run.outcomes == {
        "test_import.py (collection)": "error",
        "test_syntax.py (collection)": "error",
        "test_exit.py (collection)": "error",
        "test_fine.py::test_it": "passed",
    }
    assert run.missing_modules == ("nosuchpackage",)
    failure = run.failures["test_import.py (collection)"]
    assert failure.message == "ModuleNotFoundError: No module named 'nosuchpackage'"
    assert failure.frames == (Frame("test_import.py", 1, "<module>"),)
    assert run.failures["test_syntax.py (collection)"].frames[-1].path == "test_syntax.py"


@pytest.mark.parametrize(
    ("conftest", "message"),
    [
        ("import lib\n", "ValueError: bad"),
        ("import nosuchpackage\n", "nosuchpackage"),
        ("import os\nos._exit(1)\n", "exited with code 1"),
    ],
)
def test_conftest_that_fails(box: Box, conftest: str, message: str) -> None:
    files = {"conftest.py": conftest, "lib.py": "raise ValueError('bad')\n", "test_a.py": ""}
    run = run_tests(box(files), PYTEST)
    assert run.outcomes == {"<session>": "error"}
    assert message in run.failures["<session>"].message
    assert not run.complete
    if "lib" in conftest:
        assert Frame("lib.py", 1, "<module>") in run.failures["<session>"].frames


def test_only_some(box: Box) -> None:
    body = "import pytest\n@pytest.mark.parametrize('x', range(400))\ndef test_p(x): pass\n"
    files = {
        "sub/pytest.ini": "[pytest]\n",
        "sub/test_p.py": body + "def test_q(): pass\n",
        "sub/test_never.py": "raise SystemExit('must not be imported')\n",
    }
    sandbox = box(files)
    command = TestCommand(("sub",), "pytest")
    only = [f"test_p.py::test_p[{i}]" for i in range(390)] + ["test_p.py::test_gone"]
    run = run_tests(sandbox, command, only=only)
    assert list(run.outcomes) == only[:-1]
    assert run.missing == ("test_p.py::test_gone",)
    assert run.complete
    assert not run.ok


def test_of_many_failures_only_the_first_are_told_in_full(box: Box) -> None:
    tests = (
        "import pytest\n"
        "@pytest.mark.parametrize('n', range(103))\n"
        "def test_many(n):\n"
        "    assert n == n + 1\n"
    )
    record = (
        "import pytest\n"
        "LINES = []\n"
        "def pytest_runtest_logreport(report):\n"
        "    if report.failed:\n"
        "        LINES.append('    assert n == n + 1' in str(report.longrepr))\n"
        "def pytest_unconfigure():\n"
        "    print('in full:', sum(LINES), LINES[-1])\n"
    )
    sandbox = box({"test_many.py": tests, "conftest.py": record})
    run = run_tests(sandbox, PYTEST)
    last = run.failures["test_many.py::test_many[102]"]
    assert last.message == "assert 102 == (102 + 1)"
    assert (last.longrepr, [frame.line for frame in last.frames]) == ("", [4])
    assert "    assert n" in run.failures["test_many.py::test_many[99]"].longrepr
    assert "in full: 100 False" in run.output
    assert len(run.failing) == 103


def test_no_tests_and_wrong_options(box: Box) -> None:
    sandbox = box({"test_none.py": "x = 1\n"})
    run = run_tests(sandbox, PYTEST)
    assert (run.outcomes, run.exit_code, run.ok) == ({}, 5, False)
    run = run_tests(sandbox, TestCommand(("--no-such-option",), "pytest"))
    assert "--no-such-option" in run.failures["<session>"].longrepr
    assert not run.complete


def test_our_modules_cannot_be_imported(box: Box) -> None:
    code = (
        "import os, sys\n"
        "def test_path():\n"
        "    assert sys.path[0] == os.getcwd()\n"
        "    for name in ('pytest_inside', 'supervisor_inside', 'integrity_inside',\n"
        "        'audit_inside', 'guarding', 'tools', 'policies'):\n"
        "        assert name not in sys.modules\n"
        "        try: __import__(name)\n"
        "        except ImportError: pass\n"
        "        else: raise AssertionError(name)\n"
    )
    assert run_tests(box({"test_path.py": code}), PYTEST).ok


def test_commands_count_by_exit_code(box: Box) -> None:
    sandbox = box({"check.py": "import sys\nprint('no')\nassert len(sys.argv) == 1\n"})
    assert run_tests(sandbox, TestCommand(("python", "check.py"), "command")).ok
    run = run_tests(sandbox, TestCommand(("python", "check.py", "x"), "command"))
    assert run.outcomes == {COMMAND: "failed"}
    assert run.failures[COMMAND].frames == (Frame("check.py", 3, "<module>"),)
    run = run_tests(sandbox, TestCommand(("sh", "-c", "sleep 60"), "command"), timeout=0.5)
    assert run.outcomes == {COMMAND: "hung"}
    with pytest.raises(TestEnvironmentError, match="nosuchprogram"):
        run_tests(sandbox, TestCommand(("nosuchprogram",), "command"))


def test_environment_without_pytest() -> None:
    spec = Spec(environment=sys.prefix, hide=("pytest",))
    with (
        open_sandbox("bubblewrap", [File("test_a.py", b"")], spec) as sandbox,
        pytest.raises(TestEnvironmentError, match="pip install pytest"),
    ):
        run_tests(sandbox, PYTEST)


def test_a_module_in_the_place_of_pytest_judges_nothing(box: Box) -> None:
    tests = "def test_a():\n    assert 1 == 2\n"
    sandbox = box({"pytest.py": "def main(*words, **more): return 0\n", "test_a.py": tests})
    assert run_tests(sandbox, PYTEST).failing == ("test_a.py::test_a",)


def unpacked(stdout: bytes) -> list[Any]:
    records = unpack(stdout, "nonce")
    assert records is not None
    return list(records)


def test_damaged_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unpack(b"anything", "nonce") is None
    assert unpacked(b"x\nnonce\nnot compressed") == []
    damaged = b"nonce\n" + zlib.compress(b"1\n" * 1000, 0)[:-1] + b"?"
    assert 500 < len(unpacked(damaged)) <= 1000
    monkeypatch.setattr(runners, "RECORDS_LIMIT", 4)
    assert unpacked(b"nonce\n" + zlib.compress(b"1\n2\n3\n")) == [1, 2]
    assert unpacked(damaged) == [1, 1]


class Forged:
    """A sandbox in which code under test has written the records."""

    name, workspace, python = "forged", "/workspace", "/usr/bin/python3"

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines

    def place(self, name: str, data: bytes) -> str:
        return f"/apprentice/tools/{name}"

    def run(self, argv: list[str], *, stdin: bytes, **more: Any) -> Result:
        nonce = json.loads(stdin)["nonce"].encode()
        body = zlib.compress(b"".join(line + b"\n" for line in self.lines))
        return Result(0, b"\n" + nonce + b"\n" + body, b"", 1.0)


END = {"t": "end", "id": "a", "outcome": "passed", "seconds": 1}
FAILED = {**END, "id": "b", "outcome": "failed"}
CRASH = {"t": "crash", "id": "b", "collecting": None, "why": "ended", "status": 1, "noise": ""}


@pytest.mark.parametrize(
    "forged",
    [
        b"{",
        b"[" * 100_000,
        b"7",
        b"{}",
        b'{"t": "nopytest"}',
        b'{"t": "collected", "ids": 5}',
        b'{"t": "collected", "ids": [[]]}',
        b'{"t": "start", "id": {}}',
        b'{"t": "code", "n": [], "path": "p", "name": "n", "line": 1}',
        b'{"t": "output", "text": null}',
        b'{"t": "done", "exit": "0", "finished": true}',
        {**END, "id": None},
        {**END, "outcome": "splendid"},
        {**END, "outcome": []},
        {**END, "seconds": "1"},
        {**END, "seconds": float("nan")},
        {**END, "seconds": 10**400},
        {**END, "calls": [1]},
        {**END, "module": {}},
        {**FAILED, "frames": [["p", 1]]},
        {**FAILED, "frames": [["p", "1", "f"]]},
        {**FAILED, "message": 5},
        b'{"t": "patched", "what": "x", "how": "y"}',
        b'{"t": "patched", "what": "x", "how": "y", "by": 5}',
        b'{"t": "does", "what": "x"}',
        b'{"t": "does", "what": [], "by": "y"}',
        {**CRASH, "id": 5},
        {**CRASH, "id": None, "collecting": 5},
        {**CRASH, "status": None},
        {**CRASH, "noise": None},
        {**CRASH, "why": []},
    ],
)
def test_forged_records_make_a_run_incomplete(forged: bytes | Mapping[str, Any]) -> None:
    line = forged if isinstance(forged, bytes) else json.dumps(forged).encode()
    first = json.dumps(END).encode()
    done = b'{"t": "done", "exit": 0, "finished": true}'
    for lines in ([first, line, done], [first, done, line]):
        run = run_tests(Forged(lines), PYTEST)  # type: ignore[arg-type]
        assert run.outcomes == {"a": "passed"}
        assert not run.complete
        assert not run.ok
        assert run.summary
    assert run_tests(Forged([first, done]), PYTEST).ok  # type: ignore[arg-type]


def test_what_is_patched_is_told_once_and_within_bounds() -> None:
    told = [{"t": "patched", "what": "x" * 999, "how": "replaced", "by": f"{n % 150}.py"}
            for n in range(300)]  # fmt: skip
    done = b'{"t": "done", "exit": 0, "finished": true}'
    lines = [json.dumps(one).encode() for one in told]
    run = run_tests(Forged([*lines, json.dumps(END).encode(), done]), PYTEST)  # type: ignore[arg-type]
    assert len(run.patched) == 100
    assert run.patched[1] == f"{'x' * 300} replaced by 1.py"
    assert run.ok
    does = b'{"t": "does", "what": "reads test_a.py", "by": "b.py"}'
    run = run_tests(Forged([does, does, *lines, done]), PYTEST)  # type: ignore[arg-type]
    assert run.patched[0] == "reads test_a.py: b.py"
    assert len(run.patched) == 100
