"""What comes out of a sandbox: records of tests, frames of the channel, rows of the store."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from hypothesis import strategies as st

from agent.ui.text import printable
from policies.experience.codec import CodecError, decode, encode
from policies.experience.events import EVENT, Acted, Observed, Tested
from tests.fuzz.registry import JSON, TEXT, target
from tools.sandbox.base import Result, SandboxError, Spec
from tools.sandbox.channel import LENGTHS, Session
from tools.testing.detect import TestCommand
from tools.testing.results import Outcome, TestEnvironmentError
from tools.testing.runners import run_tests

IDS = st.sampled_from(["t.py::a", "t.py::b", "<session>", "t.py (collection)"]) | TEXT
KINDS = st.sampled_from(
    ["collected", "code", "start", "end", "crash", "output", "done", "nopytest", "pristine"]
)
RECORD = st.fixed_dictionaries(
    {"t": KINDS},
    optional={
        "ids": st.lists(IDS, max_size=3) | JSON,
        "id": IDS | JSON,
        "outcome": st.sampled_from(get_args(Outcome)) | JSON,
        "seconds": st.floats() | JSON,
        "frames": st.lists(st.tuples(TEXT, st.integers(), TEXT), max_size=2) | JSON,
        "calls": st.lists(st.integers(min_value=0, max_value=2), max_size=3) | JSON,
        "n": st.integers(min_value=0, max_value=2) | JSON,
        "path": TEXT | JSON,
        "name": TEXT | JSON,
        "line": st.integers() | JSON,
        "text": TEXT | JSON,
        "noise": st.sampled_from(["!!!! x !!!!", 'File "a.py", line 9 in f'])
        | st.builds("{}(most recent call first){}".format, TEXT, TEXT)
        | JSON,
        "status": st.integers() | JSON,
        "why": st.sampled_from(["hung", "deadline", "ended"]) | JSON,
        "collecting": IDS | JSON,
        "exit": st.integers(min_value=-9, max_value=9) | JSON,
        "finished": st.booleans() | JSON,
        "module": TEXT | JSON,
        "message": TEXT | JSON,
        "longrepr": TEXT | JSON,
        "exception": TEXT | JSON,
        "captured": TEXT | JSON,
        "python": TEXT,
        "error": TEXT,
    },
)
LINES = st.lists(
    st.one_of(
        RECORD.map(lambda record: json.dumps(record).encode()),
        JSON.map(lambda value: json.dumps(value).encode()),
        st.sampled_from([b"[" * 12_000, b"9" * 5000, b"\xff", b"", b'{"t": "end"}']),
        st.binary(max_size=20),
    ),
    max_size=8,
)


class Hostile:
    """A sandbox whose tests write their own results. `damage` is what they do to the stream."""

    name, workspace, python = "hostile", "/workspace", "python"

    def __init__(self, lines: Sequence[bytes], damage: Mapping[str, Any]) -> None:
        self.lines, self.damage = lines, damage

    def place(self, name: str, data: bytes) -> str:
        """Where a helper file would lie."""
        return f"/apprentice/{name}"

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", **_: Any) -> Result:
        """The forged stream behind the nonce."""
        nonce = json.loads(stdin)["nonce"].encode()
        packed = zlib.compress(b"".join(line + b"\n" for line in self.lines))
        packed = packed[: self.damage["keep"]] + self.damage["tail"]
        head = b"noise" + (nonce + b"\n" if self.damage["nonce"] else b"")
        return Result(0, head + packed, b"", 1.0, self.damage["killed"])


DAMAGE = st.fixed_dictionaries(
    {
        "keep": st.sampled_from([100_000_000, 100_000_000, 100_000_000, 30, 0]),
        "tail": st.binary(max_size=10),
        "nonce": st.integers(min_value=0, max_value=9).map(bool),
        "killed": st.sampled_from([None, "timeout", "memory"]),
    }
)


@target(lines=LINES, damage=DAMAGE)
def forged_results_are_read(lines: list[bytes], damage: dict[str, Any]) -> None:
    """A TestRun whose fields are of their types, that can be stored; never "ok" if cut off."""
    try:
        run = run_tests(Hostile(lines, damage), TestCommand((), "pytest"), only=["t.py::a"])  # type: ignore[arg-type]
    except TestEnvironmentError as error:
        printable(str(error)).encode()
        return
    assert set(run.outcomes.values()) <= set(get_args(Outcome))
    assert all(isinstance(test, str) for test in [*run.outcomes, *run.failures, *run.calls])
    assert all(math.isfinite(seconds) for seconds in run.durations.values())
    assert set(run.failing) <= set(run.failures)
    if run.ok:
        assert run.complete
        assert run.killed_by is None or "t.py::a" in run.outcomes
    for failure in run.failures.values():
        texts = (failure.message, failure.longrepr, failure.exception, failure.captured)
        assert all(isinstance(text, str) for text in texts)
    event = Tested(
        label="candidate",
        outcomes=dict(run.outcomes),
        exit_code=run.exit_code,
        killed_by=run.killed_by,
        complete=run.complete,
        seconds=run.seconds,
        output=run.output,
    )
    body, blobs = encode(event)
    assert decode(body, blobs.__getitem__) == event


class Wire:
    """A transport that has these bytes to give, whatever it is asked."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def send(self, data: bytes, deadline: float) -> None:
        """Take all of it."""

    def receive(self, deadline: float) -> bytes:
        """A few bytes."""
        taken, self.data = self.data[:50], self.data[50:]
        return taken

    def hang_up(self) -> None:
        """Nothing is open."""

    def destroy(self) -> None:
        """Nothing is left."""

    def complaint(self) -> str:
        """Nothing was printed."""
        return ""


def frame(head: bytes, body: bytes) -> bytes:
    """A reply as the process inside would send it."""
    return LENGTHS.pack(len(head), len(body)) + head + body


HEAD = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "error": st.sampled_from(["path", "patch", "sandbox"]) | JSON,
            "message": TEXT | JSON,
            "snapshot": TEXT | JSON,
            "path": TEXT | JSON,
            "python": TEXT | JSON,
            "stdout": st.integers() | JSON,
            "exit_code": st.integers() | JSON,
            "seconds": st.floats() | JSON,
            "killed_by": st.sampled_from([None, "timeout", "moon"]) | JSON,
            "cut": st.integers() | JSON,
            "more": JSON,
        },
    ).map(lambda head: json.dumps(head).encode()),
    JSON.map(lambda head: json.dumps(head).encode()),
    st.sampled_from([b"[" * 12_000, b"9" * 5000, b"\xff", b""]),
)
BODY = st.binary(max_size=20) | JSON.map(lambda value: json.dumps(value).encode())
OPERATIONS = {
    "run": lambda session: session.run(["true"]),
    "read": lambda session: session.read("a"),
    "files": lambda session: session.files(),
    "snapshot": lambda session: session.snapshot(),
    "diff": lambda session: session.diff(),
    "place": lambda session: session.place("a", b""),
    "fill": lambda session: session.fill([]),
}


def is_of_kind(operation: str, value: Any) -> bool:
    """Whether an operation's result is of the type that the Sandbox protocol names."""
    if operation == "run":
        return (
            type(value.exit_code) is int
            and isinstance(value.stdout + value.stderr, bytes)
            and math.isfinite(value.seconds)
            and type(value.cut) is int
            and value.killed_by in (None, "timeout", "memory", "output", "cpu", "processes")
        )
    if operation == "files":
        return all(isinstance(path, str) and type(size) is int for path, size in value)
    if operation == "fill":
        return value is None
    return isinstance(value, bytes if operation == "read" else str)


@target(
    operation=st.sampled_from(sorted(OPERATIONS)),
    frames=st.lists(st.builds(frame, HEAD, BODY), max_size=2).map(b"".join) | st.binary(),
)
def a_hostile_process_answers(operation: str, frames: bytes) -> None:
    """Answers are of the right types, or a SandboxError."""
    hello = {"workspace": "/workspace"}
    session = Session("hostile", Wire(frame(b"{}", b"") + frames), Spec(), hello)
    try:
        value = OPERATIONS[operation](session)
    except SandboxError as error:
        printable(str(error)).encode()
    else:
        assert is_of_kind(operation, value)


EVENT_KINDS = st.sampled_from(
    [*sorted(EVENT.json_schema()["discriminator"]["mapping"]), "unknown", ""]
)
BODIES = st.one_of(
    st.fixed_dictionaries(
        {"kind": EVENT_KINDS | JSON, "v": st.just(1) | st.integers() | JSON},
        optional={
            "at": st.sampled_from(["2026-01-01T00:00:00Z", "now"]) | JSON,
            "text": TEXT | JSON,
            "tool": TEXT | JSON,
            "arguments": st.dictionaries(TEXT, JSON, max_size=2) | JSON,
            "ok": st.booleans() | JSON,
            "diff": TEXT | st.fixed_dictionaries({"$blob": TEXT | JSON}),
            "reason": TEXT | st.fixed_dictionaries({"$float": TEXT | JSON}),
        },
    ).map(json.dumps),
    JSON.map(json.dumps),
    st.sampled_from(["[" * 12_000, '{"$blob": "a"}', '{"$blob": "b"}', "9" * 5000]),
    TEXT,
)
BLOBS = {"a": b"[" * 12_000, "b": b'{"$blob": "c"}', "c": b'"text"', "d": b"\xff"}


def blob(digest: Any) -> bytes:
    """What a damaged or foreign store has for a digest."""
    return BLOBS.get(str(digest), b"")


@target(body=BODIES)
def a_stored_row_is_read(body: str) -> None:
    """An event, or a CodecError."""
    try:
        event = decode(body, blob)
    except CodecError as error:
        printable(str(error)).encode()
        return
    again, blobs = encode(event)
    assert encode(decode(again, blobs.__getitem__)) == (again, blobs)


@target(arguments=st.dictionaries(TEXT, JSON, max_size=4), text=TEXT)
def an_event_comes_back(arguments: dict[str, Any], text: str) -> None:
    """What is stored of a call and its answer is what is read."""
    for event in (
        Acted(tool=text, arguments=arguments),
        Observed(tool=text, ok=True, text=text * 100),
    ):
        body, blobs = encode(event)
        found = decode(body, blobs.__getitem__)
        assert encode(found) == (body, blobs)
        assert list(leaves(found.model_dump())) == list(leaves(event.model_dump()))


def leaves(value: Any) -> Iterator[Any]:
    """The scalars of nested data, with NaN as text, since it equals nothing."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield "nan" if isinstance(value, float) and math.isnan(value) else value
