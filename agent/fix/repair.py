"""From failing checks to files that pass all of them, one check after the other."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.config import Settings, Strategy
from agent.fix.chain import together
from agent.fix.checks import Check, Checked, run_apart, with_check
from agent.fix.deadline import Deadline
from agent.fix.silenced import silences
from agent.outcome import Outcome
from agent.repository import Capture
from agent.session import Listener
from agent.solve import solve
from agent.status import Status
from agent.task import Task, clean_issue
from agent.verify.outcomes import is_pseudo
from agent.verify.verifier import Verdict
from agent.workspace import Workspace
from policies.base import Policy
from policies.experience.store import Store
from tools.base import capped
from tools.codemap import MODULE, Codemap

TRIES = 3
OUTPUT_CHARACTERS = 1500
_PLACE = re.compile(r"(?<![\w/.-])([\w./-]+):(\d+)\b")


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
            files = deliverable(tree, verdict, self.editable)
            if files is None or silences(tree.contents, files):
                continue
            tree = tree.patched(files, {})
            self.check_time()
            checked = run_apart(tree, self.checks)
            if all(one.passed for one in checked):
                return self.passing(tree, trajectories)
        message = "each fix broke another check, did more than edit files, or only silenced one"
        return Repair(Status.NOT_SOLVED, {}, message, tuple(trajectories))

    def passing(self, tree: Workspace, trajectories: Sequence[str]) -> Repair:
        """The repair that a tree is with which every check passes."""
        changes = self.changes(tree)
        if changes:
            return Repair(Status.FIXED, changes, "", tuple(trajectories))
        message = "the checks pass now without any change: what they say does not hold still"
        return Repair(Status.NOT_SOLVED, {}, message, tuple(trajectories))

    def check_time(self) -> None:
        """Stop at the deadline, also where a signal would come late. Raises KeyboardInterrupt."""
        if self.deadline.expired:
            raise KeyboardInterrupt

    def solve(self, tree: Workspace, checked: Sequence[Checked], seed: int) -> Outcome:
        """One failing check as a task: tests first, which say most of what the code should do."""
        self.check_time()
        failing = min(
            (one for one in checked if not one.passed),
            key=lambda one: one.check.command.framework != "pytest",
        )
        kept = [one.check for one in checked if one.passed]
        seconds = max(1.0, self.deadline.left)
        own = (entry for entry in self.settings.protected if not entry.startswith("!"))
        settings = self.settings.model_copy(
            update={
                "seed": seed,
                "timeout": seconds,
                "test_command": failing.check.shown,
                "strategies": strategies(self.settings, failing.check),
                "protected": (*own, *(f"!{path}" for path in self.editable)),
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
        """The editable files that are not what they were; no other ever is in a repair."""
        before, after = self.workspace.contents, tree.contents
        return {path: after[path] for path in self.editable if before[path] != after[path]}


def _failed(status: Status) -> Status:
    """What a solve without a verified patch means for the commit."""
    broken = status in (Status.ENVIRONMENT, Status.USAGE)
    return status if broken else Status.NOT_SOLVED


def strategies(settings: Settings, check: Check) -> tuple[Strategy, ...]:
    """No search for what satisfies a linter: code taken away would do."""
    if check.command.framework == "pytest":
        return settings.strategies
    return tuple(name for name in settings.strategies if name != "search")


def deliverable(
    tree: Workspace, verdict: Verdict, editable: Collection[str]
) -> dict[str, bytes] | None:
    """The new bytes that a verdict gives to files; None when it does anything else.

    Neither a removal, nor another mode, nor a file that is not `editable` is delivered.
    """
    files = {path: data for path, data in verdict.files.items() if data is not None}
    modes = {file.path: file.mode for file in tree.files}
    if len(files) < len(verdict.files) or not files.keys() <= set(editable):
        return None
    return None if any(modes.get(p) != m for p, m in verdict.modes.items()) else files


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
