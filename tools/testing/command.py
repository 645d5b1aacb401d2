"""Tests by a command: results by test where its runner tells them, else by the exit code."""

from __future__ import annotations

import math
import re
import secrets
from pathlib import Path
from typing import get_args

from tools.base import capped
from tools.sandbox.base import Result, Sandbox
from tools.testing.detect import TestCommand
from tools.testing.formats import FORMATS, MARK, Format, Told
from tools.testing.results import (
    COMMAND,
    FAILING,
    MALFORMED,
    Failure,
    Frame,
    Outcome,
    TestEnvironmentError,
    TestRun,
)

OUTPUT_LIMIT = 20_000
_TRACE_FRAME = re.compile(r'File "([^"]+)", line (\d+),? in (\S+)')
_SHORT_FRAME = re.compile(r"^([^\s:]+\.py):(\d+): in (\S+)", re.MULTILINE)


def run_command(sandbox: Sandbox, command: TestCommand, timeout: float) -> TestRun:
    """Run a command that tests. Where no test is told, the command itself is the test COMMAND.

    It is a failing one as well where it ends badly and no test has failed, or it was killed. Raises
    TestEnvironmentError when there is no such program in the sandbox.
    """
    argv, env, mark = list(command.argv), dict(command.env), secrets.token_hex(16)
    if re.fullmatch(r"python[0-9.]*", argv[0]):
        argv[0] = sandbox.python
    row = next((row for row in FORMATS if row.name == command.format), None)
    if row is not None:
        argv = list(row.argv(argv, mark))
        for name, value in _variables(sandbox, row, mark).items():
            env[name] = f"{env[name]} {value}" if name in env else value
    result = sandbox.run(argv, timeout=timeout, env=env)
    if result.exit_code == 127:
        raise TestEnvironmentError(
            f"{command.argv[0]} was not found in the sandbox; install it in the environment of "
            "the tests"
        )
    told: list[Told] = []
    if row is not None:
        try:
            output = result.stdout.decode("utf-8", "replace")
            told = [_valid(test) for test in row.read(output, mark, sandbox.workspace)]
        except MALFORMED:
            told = []
    text = (result.stdout + result.stderr).decode("utf-8", "replace")
    output, _ = capped("\n".join(x for x in text.split("\n") if mark not in x), OUTPUT_LIMIT)
    outcomes: dict[str, Outcome] = {}
    failures: dict[str, Failure] = {}
    durations: dict[str, float] = {}
    for test in told:
        # Of tests with one name the worst counts.
        if outcomes.get(test.id) in FAILING:
            continue
        if test.id not in outcomes or test.outcome != "skipped":
            outcomes[test.id] = test.outcome
        durations[test.id] = durations.get(test.id, 0.0) + test.seconds
        if test.failure is not None:
            failures[test.id] = test.failure
    unexplained = result.exit_code != 0 and not failures
    if not told or unexplained or result.killed_by:
        outcomes[COMMAND] = _outcome(result)
        durations[COMMAND] = result.seconds
        if outcomes[COMMAND] != "passed":
            failures[COMMAND] = _failure(
                command, result, output, frames_in(text, sandbox.workspace)
            )
    return TestRun(
        outcomes=outcomes,
        failures=failures,
        exit_code=result.exit_code,
        complete=result.killed_by is None,
        seconds=result.seconds,
        killed_by=result.killed_by,
        output=output,
        durations=durations,
    )


def frames_in(text: str, workspace: str) -> tuple[Frame, ...]:
    """Frames within the workspace that a text shows: tracebacks, faulthandler, pytest's short."""
    found: list[Frame] = []
    prefix = workspace.rstrip("/") + "/"
    for pattern in (_TRACE_FRAME, _SHORT_FRAME):
        for path, line, function in pattern.findall(text):
            relative = path.removeprefix(prefix)
            if not relative.startswith(("/", "<", "..")) and "site-packages/" not in relative:
                found.append(Frame(relative, int(line), function))
    return tuple(dict.fromkeys(found))[-30:]


def _valid(test: Told) -> Told:
    """The test, which code under test may have written. Raises TypeError or ValueError."""
    if test.outcome not in get_args(Outcome):
        raise ValueError(f"{test.outcome} is no outcome")
    texts = [test.id, *([test.failure.message, test.failure.longrepr] if test.failure else [])]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is none")
    if isinstance(test.seconds, bool) or not 0 <= test.seconds < math.inf:
        raise ValueError(f"{test.seconds} is no duration")
    return test


def _variables(sandbox: Sandbox, row: Format, mark: str) -> dict[str, str]:
    """The environment of a format, its file placed."""
    asset = ""
    if row.asset:
        source = Path(__file__).with_name(row.asset).read_text(encoding="utf-8")
        asset = sandbox.place(row.asset, source.replace(MARK, mark).encode())
    return {name: value.format(asset=asset) for name, value in (row.env or {}).items()}


def _outcome(result: Result) -> Outcome:
    if result.killed_by:
        return "hung" if result.killed_by == "timeout" else "error"
    return "passed" if result.exit_code == 0 else "failed"


def _failure(
    command: TestCommand, result: Result, output: str, frames: tuple[Frame, ...]
) -> Failure:
    why = f"killed ({result.killed_by})" if result.killed_by else "failed"
    message = f"{' '.join(command.argv)[:100]} {why} with exit code {result.exit_code}"
    return Failure(message, output[-6000:], frames)
