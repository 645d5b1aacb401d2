"""Trying many edits of functions against a few tests in one go, without a test run for each.

What it says is a hint: an edit that looks good is still to be tested properly.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.repairs.edit import Edit
from tools.sandbox.base import MIB, Sandbox
from tools.testing.detect import TestCommand
from tools.testing.results import MALFORMED

START_SECONDS = 30.0
TRACE_SECONDS = 15.0
FORK_BYTES = 2048 * MIB
LEAST_TOLD = 8
DIGEST_LENGTH = 64
Answers = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Trial:
    """What came of an edit: the probes and voters that pass with it, and whether nothing failed.

    `clean` is None when the trial did not come to an end: it hung, or the process died.
    """

    passed: frozenset[str]
    clean: bool | None


@dataclass(frozen=True)
class Screening:
    """What a screening found. Trials by number of the edit, in the order in which they ended.

    `base` are the probes that pass without an edit; `settled` says whether that trial came to an
    end. `cold` edits change what runs at import: when nothing else helps they are tried last, with
    everything imported anew. `broken` ones are no program, `idle` ones the same as the untouched
    one, `void` ones the same as another edit, or cannot be tried. `lines` are the lines of the
    traced files that each test runs. `behaviours` are digests of what the changed functions do with
    one input after the other, for clean edits of which enough can be told.
    """

    base: frozenset[str] = frozenset()
    settled: bool = False
    trials: Mapping[int, Trial] = field(default_factory=dict)
    cold: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()
    void: tuple[int, ...] = ()
    idle: tuple[int, ...] = ()
    lines: Mapping[str, Mapping[str, frozenset[int]]] = field(default_factory=dict)
    behaviours: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    started: bool = False
    seconds: float = 0.0

    @property
    def clean(self) -> tuple[int, ...]:
        """The edits with which nothing failed."""
        return tuple(sorted(n for n, trial in self.trials.items() if trial.clean))

    @property
    def failed(self) -> tuple[int, ...]:
        """The edits with which something certainly fails: of `cold` ones that is not known."""
        tests = (n for n, trial in self.trials.items() if trial.clean is False)
        return tuple(sorted({*tests, *self.broken, *self.idle} - {*self.cold, *self.clean}))

    def unfinished(self, probes: Collection[str]) -> tuple[int, ...]:
        """The edits with which the probes did not come to an end, where the untouched code does."""
        trials = self.trials.items() if self.settled else ()
        late = (n for n, t in trials if t.clean is None and not t.passed >= {*probes})
        return tuple(sorted({*late} - {*self.cold}))


def screen(
    sandbox: Sandbox,
    command: TestCommand,
    probes: Sequence[str],
    *,
    others: Mapping[str, Sequence[str]] = {},
    voters: Sequence[str] = (),
    edits: Sequence[Edit] = (),
    lines: Collection[str] = (),
    seconds: float,
    per_edit: float = 10.0,
    patient: bool = False,
    others_seconds: float = 3.0,
    wanted: int = 1_000_000,
    grace: float = START_SECONDS,
) -> Screening:
    """Try `edits` of the workspace's files, each alone, against the tests `probes`.

    An edit is clean when all probes pass, and after them all `others` of its symbol (which pass
    now). Clean edits are run on the tests `voters` as well, which decide nothing, and are compared
    in what they do with inputs like those of the tests. Ends when `wanted` edits are clean or after
    `seconds`; collecting may take `grace` seconds more. An edit may take `per_edit` seconds, and on
    the processor a few times as long as the untouched code does, or as long when `patient`, then
    `others_seconds` for the others. `lines` names files whose lines are to be traced. For pytest
    only. The Screening is empty when nothing could be collected.
    """
    mark = secrets.token_hex(16)
    paths = {
        name: sandbox.place(f"{name}_inside.py", _source(f"{name}_inside.py"))
        for name in ("screen", "children", "swap", "pytest", "behaviour", "perturb")
    }
    settings = {
        "mark": mark,
        "ours": {name: path for name, path in paths.items() if name != "screen"},
        "args": list(command.argv),
        "probes": list(probes),
        "others": {symbol: list(tests) for symbol, tests in others.items()},
        "voters": list(voters),
        "edits": [dataclasses.asdict(edit) for edit in edits],
        "lines": sorted(lines),
        "seconds": seconds,
        "trace_seconds": TRACE_SECONDS,
        "per_edit": per_edit,
        "patient": patient,
        "others_seconds": others_seconds,
        "memory": FORK_BYTES,
        "wanted": wanted,
    }
    result = sandbox.run(
        [sandbox.python, "-B", paths["screen"]],
        timeout=seconds + min(grace, START_SECONDS),
        stdin=json.dumps(settings).encode(),
        env={"PYTHONDONTWRITEBYTECODE": "1", **dict(command.env)},
    )
    return _read(result.stdout, mark.encode(), result.seconds, len(edits))


def _source(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _read(stdout: bytes, mark: bytes, seconds: float, count: int) -> Screening:
    """The screening of `count` edits by the records, which code under test may have written."""
    base: frozenset[str] = frozenset()
    trials: dict[int, Trial] = {}
    left_out: dict[str, list[int]] = {"cold": [], "broken": [], "void": [], "idle": []}
    settled = False
    lines: dict[str, dict[str, frozenset[int]]] = {}
    untouched: list[Answers] = []
    behaviours: dict[int, tuple[Answers, frozenset[int]]] = {}
    started = False
    for line in stdout.split(b"\n"):
        if not line.startswith(mark):
            continue
        try:
            record = json.loads(line[len(mark) :])
            kind = record["t"]
            if kind == "collected":
                started = bool(record["probes"])
            elif kind == "tried":
                passed = frozenset(str(test) for test in record["passed"])
                number, clean = int(record["n"]), record["clean"]
                if number < 0:
                    base, settled = passed, clean is not None
                elif number < count:
                    trials[number] = Trial(passed, None if clean is None else bool(clean))
            elif kind in left_out:
                left_out[kind] += [int(n) for n in [record["n"]] if 0 <= int(n) < count]
            elif kind == "behaves":
                answers = [[str(answer) for answer in each] for each in record["answers"]]
                if int(record["n"]) < 0:
                    untouched.append(answers)
                elif int(record["n"]) < count:
                    own = frozenset(int(function) for function in record["own"])
                    behaviours[int(record["n"])] = answers, own
            elif kind == "lines":
                lines[str(record["test"])] = _numbers(record["lines"])
        except MALFORMED:
            continue
    cold, broken, void, idle = (tuple(numbers) for numbers in left_out.values())
    alike = _comparable(untouched, behaviours)
    return Screening(
        base=base,
        settled=settled,
        trials=trials,
        cold=cold,
        broken=broken,
        void=void,
        idle=idle,
        lines=lines,
        behaviours=alike,
        started=started,
        seconds=seconds,
    )


def _comparable(
    untouched: Sequence[Answers], behaviours: Mapping[int, tuple[Answers, frozenset[int]]]
) -> dict[int, tuple[str, ...]]:
    """The answers to inputs to which the untouched code answers twice the same.

    Left out are edits of functions that tell little, and those that seem to change nothing: they
    do, or they would not turn a test green.
    """
    if len(untouched) != 2:
        return {}
    steady = [
        (function, n)
        for function, both in enumerate(zip(*untouched, strict=False))
        for n, (one, two) in enumerate(zip(*both, strict=False))
        if one == two
    ]
    before = tuple(untouched[0][function][n] for function, n in steady)
    found = {}
    for number, (answers, own) in behaviours.items():
        if [*map(len, answers)] != [*map(len, untouched[0])]:
            continue
        after = tuple(answers[function][n] for function, n in steady)
        many = sum(
            len(answers[function][n]) == DIGEST_LENGTH for function, n in steady if function in own
        )
        if many >= LEAST_TOLD and after != before:
            found[number] = after
    return found


def _numbers(lines: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    return {path: frozenset(int(n) for n in numbers) for path, numbers in lines.items()}
