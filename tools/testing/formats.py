"""Test runners other than pytest that tell their results by test, as one table.

A row says which commands run it, how they are run so that the results can be read, and how to read
them. What no row knows counts by its exit code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.testing.results import COLLECTION, Failure, Frame, Outcome

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

    `command` matches a command, or the script that it stands for, in one line. A secret mark stands
    before results. `asset` is a file beside this one that is placed in the sandbox, with the mark
    in the place of MARK; `argv` (of the command and the mark) and `env`, with `{asset}` for the
    file's path, change the command. `read` takes the output, the mark and the workspace's path.
    """

    name: str
    command: re.Pattern[str]
    read: Callable[[str, str, str], Iterator[Told]]
    asset: str = ""
    argv: Callable[[Sequence[str], str], tuple[str, ...]] = lambda argv, _: tuple(argv)
    env: Mapping[str, str] | None = None


def format_of(text: str) -> Format | None:
    """The row for a command in one line; None where there is none."""
    return next((row for row in FORMATS if row.command.search(text)), None)


def _node(output: str, mark: str, workspace: str) -> Iterator[Told]:
    """Lines of `node_reporter.mjs`."""
    for line in output.split("\n"):
        if not line.startswith(mark):
            continue
        row = json.loads(line.removeprefix(mark))
        path = _below(row["file"], workspace)
        names = " > ".join(row["names"])
        failure = None
        if row["outcome"] == "failed":
            stack = "\n".join(filter(None, (row["noise"], row["stack"] or row["message"])))
            failure = Failure(row["message"], stack[-LONGREPR:], _script_frames(stack, workspace))
        test = f"{path}::{names}" if names else path + COLLECTION
        yield Told(test, row["outcome"], failure, row["seconds"])


_AT = re.compile(
    r"^\s*at (?:(?:async )?(?P<name>\S.*?) \()?(?:file://)?(?P<path>[^\s():]+):(\d+):\d+", re.M
)


def _script_frames(stack: str, workspace: str) -> tuple[Frame, ...]:
    """Frames of V8's stack traces within the workspace, the outermost first."""
    found = [
        Frame(_below(path, workspace), int(line), name.rpartition(".")[2])
        for name, path, line in _AT.findall(stack)
        if path.startswith(f"{workspace}/") or path[:1] != "/"
        if "node_modules/" not in path
    ]
    return tuple(reversed(found))


_BINARY = re.compile(
    r"^\s+(?:Running (?P<kind>unittests )?(?P<path>\S+) "
    r"\((?:\S*/)?(?P<name>[\w-]+?)(?:-[0-9a-f]{16})?\)|Doc-tests (?P<crate>\S+))"
)
_RESULT = re.compile(r"^test (?P<name>.+?)(?: - should panic)? \.\.\. (?P<how>ok|FAILED|ignored)")
_REPORT = re.compile(r"^---- (?P<name>.+?) stdout ----$")
_PANIC = re.compile(r"(?<![^\s',(])(?P<path>[\w./-]+\.rs):(?P<line>\d+):\d+")
_DOC_LINE = re.compile(r" \(line \d+\)(?= |$)")
_CARGO: Mapping[str, Outcome] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}


def _cargo(output: str, _: str, workspace: str) -> Iterator[Told]:
    """The text of `cargo test`, standard error among it.

    Unit tests stand in source files, which a patch may change: their ids do not begin with a path,
    but with the crate. The examples of documentation go by their item, whatever line it is on.
    """
    binary = ""
    told: list[tuple[str, Outcome]] = []
    reports: dict[str, list[str]] = {}
    report: list[str] | None = None
    for line in output.splitlines():
        if (match := _BINARY.match(line)) is not None:
            if match["crate"]:
                binary = f"doc-tests {match['crate']}"
            else:
                binary = f"{match['name']} {match['kind']}" if match["kind"] else match["path"]
                binary += match["path"] if match["kind"] else ""
            report = None
        elif (match := _RESULT.match(line)) is not None:
            told.append((f"{binary}::{match['name']}", _CARGO[match["how"]]))
        elif (match := _REPORT.match(line)) is not None:
            report = reports[f"{binary}::{match['name']}"] = []
        elif line == "failures:" or line.startswith("test result:"):
            report = None
        elif report is not None:
            report.append(line)
    for test, outcome in told:
        failure = None
        if outcome == "failed":
            text = "\n".join(reports.get(test, [])).strip()
            lines = [part for part in text.splitlines() if part.strip()]
            said = (part for part in lines if not part.startswith(("thread ", "note: ")))
            message = next(said, lines[0] if lines else "failed")
            frames = tuple(
                Frame(_below(m["path"], workspace), int(m["line"]), "")
                for m in _PANIC.finditer(text)
            )
            failure = Failure(message, text[-LONGREPR:], frames)
        yield Told(_DOC_LINE.sub("", test), outcome, failure)


def _cargo_argv(argv: Sequence[str], _: str) -> tuple[str, ...]:
    """All binaries, with standard error among the output: it says which of them runs."""
    own, dashes, rest = _cut(argv)
    more = () if "--no-fail-fast" in own else ("--no-fail-fast",)
    return ("sh", "-c", 'exec "$@" 2>&1', "sh", *own, *more, *dashes, *rest)


_JEST: Mapping[str, Outcome] = {
    "passed": "passed", "failed": "failed", "pending": "skipped", "skipped": "skipped",
    "todo": "skipped", "disabled": "skipped",
}  # fmt: skip


def _with_report(*flags: str) -> Callable[[Sequence[str], str], tuple[str, ...]]:
    """A command that writes a report with these flags, and then prints it behind the mark."""

    def changed(argv: Sequence[str], mark: str) -> tuple[str, ...]:
        file = f"/tmp/apprentice-{mark}.json"  # noqa: S108
        script = f'"$@"; code=$?; printf "\\n{mark}"; cat {file}; rm -f {file}; exit $code'
        own, dashes, rest = _cut(argv)
        more = (*flags, f"--outputFile={file}")
        if argv[0] == "npm":
            return ("sh", "-c", script, "sh", *own, "--", *rest, *more)
        return ("sh", "-c", script, "sh", *own, *more, *dashes, *rest)

    return changed


def _jest(output: str, mark: str, workspace: str) -> Iterator[Told]:
    """The JSON of Jest, which Vitest writes as well (https://jestjs.io/docs/cli#--json)."""
    _, found, text = output.rpartition(mark)
    for file in json.loads(text)["testResults"] if found and text.strip() else ():
        path = _below(file["name"], workspace)
        if not file["assertionResults"] and file["status"] == "failed":
            yield Told(path + COLLECTION, "failed", _jest_failure(file["message"], workspace))
        for test in file["assertionResults"]:
            titles = [*test["ancestorTitles"], test["title"]]
            outcome = _JEST[test["status"]]
            said = "\n".join(test["failureMessages"] or ())
            failure = _jest_failure(said, workspace) if outcome == "failed" else None
            seconds = (test.get("duration") or 0) / 1000
            yield Told(f"{path}::{' > '.join(filter(None, titles))}", outcome, failure, seconds)


def _jest_failure(said: str, workspace: str) -> Failure:
    text = _COLOUR.sub("", said)
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("●")), "failed")
    return Failure(first, text[-LONGREPR:], _script_frames(text, workspace))


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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
        name="jest",
        command=re.compile(r"^(?!.*[;&|<>]).*(^|\bnpx )jest\b(?!.* --(json|outputFile))"),
        read=_jest,
        argv=_with_report("--json", "--coverage=false"),
    ),
    Format(
        name="vitest",
        command=re.compile(r"^(?!.*[;&|<>]).*(^|\bnpx )vitest\b(?!.* --(reporter|outputFile))"),
        read=_jest,
        argv=_with_report("--reporter=json", "--coverage.enabled=false"),
        # Wasm reserves more address space than the sandbox's limit on memory admits.
        env={"NODE_OPTIONS": "--disable-wasm-trap-handler"},
    ),
    Format(
        name="cargo",
        command=re.compile(r"^cargo( [+-]\S+)* (test|t)(?![^ ])(?!.* --format)"),
        read=_cargo,
        argv=_cargo_argv,
    ),
)
