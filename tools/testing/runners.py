"""Running a repository's tests in a sandbox, and reading what came of it."""

from __future__ import annotations

import io
import json
import math
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from tools.base import capped
from tools.sandbox.base import MIB, Result, Sandbox
from tools.testing.command import OUTPUT_LIMIT, frames_in, run_command
from tools.testing.detect import TestCommand
from tools.testing.results import (
    COLLECTION,
    MALFORMED,
    SESSION,
    Call,
    Failure,
    Frame,
    Outcome,
    TestEnvironmentError,
    TestRun,
)

PER_TEST = 20.0
GRACE = 10.0
RECORDS_LIMIT, RECORD_LIMIT = 256 * MIB, 32 * MIB
PATCHED_LIMIT = 100

T = TypeVar("T")

_FAULT = "(most recent call first)"
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")


def run_tests(
    sandbox: Sandbox,
    command: TestCommand,
    *,
    only: Sequence[str] = (),
    timeout: float = 300.0,
    per_test: float = PER_TEST,
    trace: bool = False,
) -> TestRun:
    """Run the tests; with `only`, those ids (or files) alone (pytest).

    A pytest test that takes longer than `per_test` seconds is interrupted and counts as hung; a
    crash counts against the test that ran, and the others still run. With `trace` the functions
    that each test called are recorded. Raises TestEnvironmentError when pytest cannot start.
    """
    if command.framework == "command":
        return run_command(sandbox, command, timeout)
    script = sandbox.place("pytest_inside.py", _source("pytest_inside.py"))
    supervisor = sandbox.place("supervisor_inside.py", _source("supervisor_inside.py"))
    integrity = sandbox.place("integrity_inside.py", _source("integrity_inside.py"))
    audit = sandbox.place("audit_inside.py", _source("audit_inside.py"))
    nonce = secrets.token_hex(16)
    settings = {
        "nonce": nonce,
        "script": script,
        "integrity": integrity,
        "audit": audit,
        "args": list(command.argv),
        "only": list(only),
        "timeout": timeout,
        "per_test": per_test,
        "trace": trace,
    }
    result = sandbox.run(
        [sandbox.python, "-I", "-S", "-B", supervisor],
        timeout=timeout + GRACE,
        stdin=json.dumps(settings).encode(),
        env={"PYTHONDONTWRITEBYTECODE": "1", **dict(command.env)},
    )
    records = unpack(result.stdout, nonce)
    if records is None:
        raise TestEnvironmentError(_not_started(sandbox, result))
    reader = _Reader(sandbox, only)
    try:
        for record in records:
            reader.take(record)
    except MALFORMED:
        reader.finished = False
    return reader.finish(result)


def unpack(stdout: bytes, nonce: str) -> Iterator[Any] | None:
    """The records of the compressed stream behind the nonce, as far as it came.

    What comes out of it is the work of code under test: any JSON, or ValueError for a line that
    is none.
    """
    _, found, packed = stdout.partition(f"{nonce}\n".encode())
    if not found:
        return None
    return _parsed(io.BytesIO(_decompressed(packed)))


def _parsed(lines: io.BytesIO) -> Iterator[Any]:
    while line := lines.readline(RECORD_LIMIT):
        if line.endswith(b"\n"):
            yield json.loads(line)
        elif len(line) == RECORD_LIMIT:
            raise ValueError("a record is too large")


def _decompressed(packed: bytes) -> bytes:
    """What can be unpacked of a stream that may be damaged, up to the ceiling."""
    try:
        return zlib.decompressobj().decompress(packed, RECORDS_LIMIT)
    except zlib.error:
        pass
    unpacker, data = zlib.decompressobj(), bytearray()
    for start in range(0, len(packed), 512):
        room = RECORDS_LIMIT - len(data)
        if room <= 0:
            break
        try:
            data += unpacker.decompress(packed[start : start + 512], room)
        except zlib.error:
            break
    return bytes(data)


def _is(value: object, kind: type[T]) -> T:
    """The value, of a record that may hold anything. Raises TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _seconds(value: object) -> float:
    """A duration. Raises TypeError or ValueError."""
    seconds = float(value) if isinstance(value, int) else _is(value, float)
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} is no duration")
    return seconds


def _source(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _not_started(sandbox: Sandbox, result: Result) -> str:
    problem = (result.stderr + result.stdout).decode("utf-8", "replace").strip()[-500:]
    return (
        f"{sandbox.python} could not be started in the sandbox (exit code {result.exit_code}): "
        f"{problem or 'no output'}. Name a Python environment that exists"
    )


class _Reader:
    """Builds a TestRun from the records."""

    def __init__(self, sandbox: Sandbox, only: Sequence[str]) -> None:
        self.sandbox, self.only = sandbox, only
        self.collected: dict[str, None] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.failures: dict[str, Failure] = {}
        self.durations: dict[str, float] = {}
        self.calls: dict[str, frozenset[Call]] = {}
        self.codes: dict[int, Call] = {}
        self.modules: dict[str, None] = {}
        self.patched: dict[str, None] = {}
        self.running: str | None = None
        self.output = ""
        self.exit_code: int | None = None
        self.finished = False
        self.crashes = 0

    def take(self, record: Mapping[str, Any]) -> None:
        """Add a record, which code under test may have written. Raises one of MALFORMED."""
        kind = record["t"]
        if kind == "nopytest":
            raise TestEnvironmentError(
                f"pytest cannot be imported by {self.sandbox.python} (Python {record['python']}): "
                f"{record['error']}. Install it there (python -m pip install pytest), or point "
                "at the environment that has it"
            )
        if kind == "collected":
            self.collected.update(dict.fromkeys(_is(test, str) for test in record["ids"]))
        elif kind == "code":
            place = (_is(record["path"], str), _is(record["name"], str), _is(record["line"], int))
            self.codes[_is(record["n"], int)] = place
        elif kind == "start":
            self.running = _is(record["id"], str)
        elif kind == "end":
            self.ended(record)
        elif kind == "patched" and len(self.patched) < PATCHED_LIMIT:
            what, how, by = (_is(record[name], str)[:300] for name in ("what", "how", "by"))
            self.patched[f"{what} {how} by {by}"] = None
        elif kind == "does" and len(self.patched) < PATCHED_LIMIT:
            what, by = (_is(record[name], str)[:300] for name in ("what", "by"))
            self.patched[f"{what}: {by}"] = None
        elif kind == "crash":
            self.crashed(record)
        elif kind == "output":
            self.output, _ = capped(_is(record["text"], str), OUTPUT_LIMIT)
        elif kind == "done":
            self.exit_code = _is(record["exit"], int)
            self.finished = _is(record["finished"], bool)

    def ended(self, record: Mapping[str, Any]) -> None:
        test, outcome = _is(record["id"], str), record["outcome"]
        seconds = _seconds(record["seconds"])
        if outcome not in get_args(Outcome):
            raise ValueError(f"{outcome} is no outcome")
        self.running = None
        if self.outcomes.get(test) in {"failed", "error", "hung"}:
            return
        if outcome in {"failed", "error", "hung"}:
            self.failures[test] = Failure(
                message=_is(record.get("message") or outcome, str),
                longrepr=_is(record.get("longrepr", ""), str),
                frames=tuple(
                    Frame(_is(path, str), _is(line, int), _is(function, str))
                    for path, line, function in record.get("frames", ())
                ),
                exception=_is(record.get("exception", ""), str),
                captured=_is(record.get("captured", ""), str),
            )
        self.outcomes[test] = outcome
        self.durations[test] = seconds
        if "calls" in record:
            self.calls[test] = frozenset(self.codes[n] for n in record["calls"])
        if "module" in record:
            self.modules[_is(record["module"], str)] = None

    def crashed(self, record: Mapping[str, Any]) -> None:
        """The process ended in the middle: by a crash, an exit, or because it was killed."""
        self.crashes += 1
        noise, why = _is(record["noise"], str), record["why"]
        status = _is(record["status"], int)
        outcome: Outcome = "hung" if why in {"hung", "deadline"} else "error"
        banner = re.search(r"^!{3,} (.*?) !{3,}$", noise, re.MULTILINE)
        if why == "hung":
            message = "hung: did not react to an interruption and was killed"
        elif why == "deadline":
            message = "hung: the time for the whole run was over"
        elif status < 0:
            message = f"the process was killed by signal {-status}"
        elif banner:
            message = f"ended the whole test run: {banner[1]}"
        else:
            message = f"the process exited with code {status} in the middle of the run"
        test = record["id"]
        if test is None:
            place = record["collecting"]
            test = SESSION
            if place is not None and place != SESSION:
                test = _is(place, str).removeprefix(f"{self.sandbox.workspace}/") + COLLECTION
            elif why == "ended":
                last = [line for line in noise.splitlines() if line.strip()]
                message = " ".join(last[-1:])[:300] or message
        self.modules.update(dict.fromkeys(_MISSING.findall(noise)))
        fault = noise.rfind(_FAULT)
        if fault >= 0:
            frames = tuple(reversed(frames_in(noise[fault:], self.sandbox.workspace)))
        else:
            at_start = test == SESSION
            frames = frames_in(noise, self.sandbox.workspace) if at_start else ()
        self.running = None
        self.outcomes[_is(test, str)] = outcome
        self.failures[test] = Failure(message, noise[-6000:], frames)

    def finish(self, result: Result) -> TestRun:
        """The whole run, with what is missing at its end."""
        cut_off = self.exit_code is None
        if cut_off and self.running is not None:
            hung = result.killed_by == "timeout"
            why = f"the run was killed ({result.killed_by})" if result.killed_by else "it ended"
            self.outcomes[self.running] = "hung" if hung else "error"
            self.failures[self.running] = Failure(f"{why} during this test")
        left = [test for test in self.collected if test not in self.outcomes]
        exit_code = result.exit_code if self.exit_code is None else self.exit_code
        if exit_code in {3, 4} and not self.outcomes:
            self.session_error(exit_code)
        if self.failures and exit_code == 0:
            exit_code = 1
        return TestRun(
            outcomes=self.outcomes,
            failures=self.failures,
            exit_code=exit_code,
            complete=self.finished and not left and not cut_off and exit_code not in {3, 4},
            seconds=result.seconds,
            killed_by=result.killed_by,
            output=self.output,
            durations=self.durations,
            calls=self.calls,
            missing=tuple(test for test in self.only if not self.ran(test)),
            missing_modules=tuple(self.modules),
            restarts=self.crashes,
            patched=tuple(self.patched),
        )

    def ran(self, asked: str) -> bool:
        """Whether a test, or any of a file, has an outcome."""
        return asked in self.outcomes or any(t.startswith(f"{asked}::") for t in self.outcomes)

    def session_error(self, exit_code: int) -> None:
        """pytest gave up before it ran a test: a conftest that fails, options it rejects."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        errors = [
            line for line in lines if re.match(r"E  |[\w.]*Error\b|ERROR|INTERNALERROR", line)
        ]
        message = (errors or lines or [f"pytest ended with exit code {exit_code}"])[-1]
        self.modules.update(dict.fromkeys(_MISSING.findall(self.output)))
        frames = frames_in(self.output, self.sandbox.workspace)
        self.outcomes[SESSION] = "error"
        self.failures[SESSION] = Failure(message[:300], self.output[-6000:], frames)
