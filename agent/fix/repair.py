"""From failing checks to files that pass all of them, one check after the other."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.config import Settings, Strategy
from agent.fix.chain import together
from agent.fix.checks import Check, Checked, run_apart, with_check
from agent.fix.deadline import Deadline
from agent.repository import Capture
from agent.session import Listener
from agent.solve import Outcome, solve
from agent.status import Status
from agent.task import Task, clean_issue
from agent.verify.outcomes import is_pseudo
from agent.workspace import Workspace
from policies.base import Policy
from policies.experience.store import Store
from tools.base import capped
from tools.codemap import MODULE, Codemap

TRIES = 3
OUTPUT_CHARACTERS = 1500
_PLACE = re.compile(r"(?<![\w/.-])([\w./-]+):(\d+)\b")
_SILENCED = re.compile(
    r"noqa|type:\s*ignore|pyright:\s*ignore|pylint:\s*disable|pragma:\s*no\s|nosec|fmt:\s*(off|skip)"
    r"|eslint-disable|@ts-(ignore|nocheck|expect-error)|nolint|#!?\[allow\(",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Repair:
    """How it went. `files` holds the new bytes of each changed file when all checks pass, and
    nothing else; `message` says why they do not. `trajectories` are in the store."""

    status: Status
    files: Mapping[str, bytes]
    message: str
    trajectories: tuple[str, ...]


@dataclass
class Repairer:
    """What a repair needs. `editable` are the only files that it may change."""

    capture: Capture
    workspace: Workspace
    checks: Sequence[Check]
    editable: Sequence[str]
    changed: Mapping[str, Sequence[int]]
    policy: Policy
    store: Store
    settings: Settings
    deadline: Deadline
    listeners: Sequence[Listener] = ()

    def repair(self, checked: Sequence[Checked]) -> Repair:
        """Solve one failing check after the other until all pass on the same files.

        The last thing done is to run every check, each in a fresh sandbox. Raises
        KeyboardInterrupt, and BudgetSpent at the deadline; nothing is written in any case.
        """
        tree, trajectories = self.workspace, []
        for turn in range(TRIES * len(self.checks)):
            outcome = self.solve(tree, checked, self.settings.seed + turn)
            trajectories.append(outcome.trajectory)
            verdict = outcome.verdict
            if outcome.status is not Status.VERIFIED or verdict is None:
                status = _failed(outcome.status)
                return Repair(status, {}, outcome.message, tuple(trajectories))
            if silences(verdict.diff):
                continue
            tree = tree.patched(verdict.files, verdict.modes)
            checked = run_apart(tree, self.checks)
            if all(one.passed for one in checked):
                return Repair(Status.FIXED, self.changes(tree), "", tuple(trajectories))
        message = "each fix broke another check, or only silenced one"
        return Repair(Status.NOT_SOLVED, {}, message, tuple(trajectories))

    def solve(self, tree: Workspace, checked: Sequence[Checked], seed: int) -> Outcome:
        """One failing check as a task: tests first, which say most of what the code should do."""
        if self.deadline.expired:
            raise KeyboardInterrupt
        failing = min(
            (one for one in checked if not one.passed),
            key=lambda one: one.check.command.framework != "pytest",
        )
        kept = [one.check for one in checked if one.passed]
        seconds = max(1.0, self.deadline.left)
        only = tuple(f"!{path}" for path in self.editable)
        settings = self.settings.model_copy(
            update={
                "seed": seed,
                "timeout": seconds,
                "test_command": failing.check.shown,
                "strategies": strategies(self.settings, failing.check),
                "protected": (*self.settings.protected, *only),
            }
        )
        ready = dataclasses.replace(
            with_check(tree, together(failing.check, kept)),
            test_timeout=min(tree.test_timeout, seconds),
        )
        task = Task(
            self.issue(tree, failing),
            dataclasses.replace(self.capture, files=tree.files),
            () if any(map(is_pseudo, failing.run.failing)) else failing.run.failing,
        )
        outcome = solve(task, self.policy, ready, self.store, settings, self.listeners)
        if outcome.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return outcome

    def issue(self, tree: Workspace, failing: Checked) -> str:
        """What is wrong, in words that name the definitions in question."""
        output = failing.run.output.strip()
        codemap = Codemap.build(
            (file.path, file.data) for file in tree.files if file.path in self.editable
        )
        named: defaultdict[str, list[int]] = defaultdict(list)
        for path, line in _PLACE.findall(output):
            named[path].append(int(line))
        lines = [f"`{capped(failing.check.shown, 200)[0]}` fails on what is to be committed."]
        for title, places in (("It complains of", named), ("Changed were", self.changed)):
            symbols = _symbols(codemap, places)
            if symbols:
                lines.append(f"{title} {', '.join(symbols)}.")
        if failing.check.command.framework == "command":
            lines.append(capped(output, OUTPUT_CHARACTERS)[0])
        return clean_issue("\n".join(lines))

    def changes(self, tree: Workspace) -> dict[str, bytes]:
        """The files that are not what they were."""
        before = self.workspace.contents
        return {path: data for path, data in tree.contents.items() if before.get(path) != data}


def _failed(status: Status) -> Status:
    """What a solve without a verified patch means for the commit."""
    broken = status in (Status.ENVIRONMENT, Status.USAGE)
    return status if broken else Status.NOT_SOLVED


def strategies(settings: Settings, check: Check) -> tuple[Strategy, ...]:
    """No search for what satisfies a linter: code taken away would do."""
    if check.command.framework == "pytest":
        return settings.strategies
    return tuple(name for name in settings.strategies if name != "search")


def silences(diff: str) -> bool:
    """Whether a patch adds a comment that tells a check to look away."""
    added = (line for line in diff.splitlines() if line.startswith("+") and line[:3] != "+++")
    return any(_SILENCED.search(line) for line in added)


def changed_lines(before: bytes | None, after: bytes) -> list[int]:
    """The lines of `after`, from 1, that are not in `before`; those beside a removal count."""
    old = [] if before is None else before.splitlines()
    matcher = difflib.SequenceMatcher(None, old, after.splitlines(), autojunk=False)
    lines: list[int] = []
    for kind, _, _, start, end in matcher.get_opcodes():
        if kind != "equal":
            lines.extend(range(start + 1, max(end, start + 1) + 1))
    return lines


def _symbols(codemap: Codemap, places: Mapping[str, Sequence[int]]) -> list[str]:
    found: dict[str, None] = {}
    for path, lines in places.items():
        for line in lines:
            symbol = codemap.at(path, line)
            if symbol is not None and symbol.qualname != MODULE:
                found[symbol.id] = None
    return list(found)[:8]
