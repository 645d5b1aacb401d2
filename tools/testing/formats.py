"""Test runners other than pytest that tell their results by test, as one table.

A row says which commands run it, how they are run so that the results can be read, and how to read
them. What no row knows counts by its exit code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.testing.results import Failure, Frame, Outcome

MARK = "@@MARK@@"
LONGREPR = 6000


@dataclass(frozen=True)
class Told:
    """A test, as its runner tells it. Seconds are wall time, 0 where they are not told."""

    id: str
    outcome: Outcome
    failure: Failure | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Format:
    """One row.

    `command` matches a command, or the script that it stands for, in one line. `asset` is a file
    beside this one that is placed in the sandbox, with MARK in it for a secret that begins each
    line of results; `argv` and `env` change the command, with `{asset}` for its path. `read` takes
    the output, the secret and the path of the workspace.
    """

    name: str
    command: re.Pattern[str]
    read: Callable[[str, str, str], Iterator[Told]]
    asset: str = ""
    argv: Callable[[Sequence[str]], tuple[str, ...]] = tuple
    env: Mapping[str, str] | None = None


def format_of(text: str) -> Format | None:
    """The row for a command in one line; None where there is none."""
    return next((row for row in FORMATS if row.command.search(text)), None)


def _node(output: str, mark: str, workspace: str) -> Iterator[Told]:
    """Lines of `node_reporter.mjs`."""
    for line in output.splitlines():
        if not line.startswith(mark):
            continue
        row = json.loads(line.removeprefix(mark))
        path = _below(row["file"] or row["name"], workspace)
        names = [name for name in row["names"] if name != row["file"]]
        test = "::".join([path, " > ".join(names)]) if names else path
        outcome: Outcome = row["outcome"]
        failure = None
        if outcome == "failed":
            stack = row["stack"] or row["message"]
            failure = Failure(row["message"], stack[-LONGREPR:], _script_frames(stack, workspace))
        yield Told(test, outcome, failure, row["seconds"])


_AT = re.compile(
    r"^\s*at (?:(?:async )?(?P<name>\S.*?) \()?(?:file://)?(?P<path>/[^():]+):(\d+):\d+", re.M
)


def _script_frames(stack: str, workspace: str) -> tuple[Frame, ...]:
    """Frames of V8's stack traces within the workspace, the outermost first."""
    found = [
        Frame(_below(path, workspace), int(line), name.rpartition(".")[2])
        for name, path, line in _AT.findall(stack)
        if path.startswith(f"{workspace}/") and "node_modules/" not in path
    ]
    return tuple(reversed(found))


_BINARY = re.compile(
    r"^\s+(?:Running (?P<kind>unittests )?(?P<path>\S+) \(|Doc-tests (?P<crate>\S+))"
)
_RESULT = re.compile(r"^test (?P<name>.+?)(?: - should panic)? \.\.\. (?P<how>ok|FAILED|ignored)")
_REPORT = re.compile(r"^---- (?P<name>.+?) stdout ----$")
_PANIC = re.compile(r"(?<![^\s',(])(?P<path>[\w./-]+\.rs):(?P<line>\d+):\d+")
_CARGO: Mapping[str, Outcome] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}


def _cargo(output: str, _: str, workspace: str) -> Iterator[Told]:
    """The text of `cargo test`, standard error among it.

    Unit tests stand in source files, which a patch may change: their ids do not begin with a path.
    """
    binary = ""
    outcomes: dict[str, Outcome] = {}
    reports: dict[str, list[str]] = {}
    report: list[str] | None = None
    for line in output.splitlines():
        if (match := _BINARY.match(line)) is not None:
            binary = f"{match['kind'] or ''}{match['path'] or 'doc-tests ' + match['crate']}"
            report = None
        elif (match := _RESULT.match(line)) is not None:
            outcomes[f"{binary}::{match['name']}"] = _CARGO[match["how"]]
        elif (match := _REPORT.match(line)) is not None:
            report = reports[f"{binary}::{match['name']}"] = []
        elif line == "failures:" or line.startswith("test result:"):
            report = None
        elif report is not None:
            report.append(line)
    for test, outcome in outcomes.items():
        failure = None
        if outcome == "failed":
            text = "\n".join(reports.get(test, [])).strip()
            lines = [part for part in text.splitlines() if part.strip()]
            message = lines[1] if len(lines) > 1 else text
            frames = tuple(
                Frame(_below(m["path"], workspace), int(m["line"]), "")
                for m in _PANIC.finditer(text)
            )
            failure = Failure(message, text[-LONGREPR:], frames)
        yield Told(test, outcome, failure)


def _cargo_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """All binaries, with standard error among the output: it says which of them runs."""
    own, dashes, rest = _cut(argv)
    more = () if "--no-fail-fast" in own else ("--no-fail-fast",)
    return ("sh", "-c", 'exec "$@" 2>&1', "sh", *own, *more, *dashes, *rest)


def _cut(argv: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    place = list(argv).index("--") if "--" in argv else len(argv)
    return list(argv[:place]), list(argv[place : place + 1]), list(argv[place + 1 :])


def _below(path: str, workspace: str) -> str:
    return path.removeprefix("file://").removeprefix(f"{workspace}/")


FORMATS: tuple[Format, ...] = (
    Format(
        name="node",
        command=re.compile(r"^(?!.*--test-reporter)node\b.* --test\b"),
        read=_node,
        asset="node_reporter.mjs",
        env={"NODE_OPTIONS": "--test-reporter={asset} --test-reporter-destination=stdout"},
    ),
    Format(
        name="cargo",
        command=re.compile(r"^cargo (\S+ )*?(test|t)\b(?!.* --format)"),
        read=_cargo,
        argv=_cargo_argv,
    ),
)
