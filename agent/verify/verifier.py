"""The verifier: a candidate's diff, on a clean copy, in a fresh sandbox, against all tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.verify.outcomes import broken as broken_tests
from agent.verify.outcomes import doctest_files, is_green, is_pseudo, newly_failing, passed
from agent.verify.patch import Split, split
from agent.verify.tamper import findings as tamper_findings
from agent.workspace import Workspace, timed
from tools.sandbox.base import PatchError, PathError, Sandbox
from tools.testing.results import TestRun


@dataclass(frozen=True)
class Verdict:
    """What the verifier saw. Only `verified` patches are ever called fixes.

    `after` holds outcomes by test id; `files` the new bytes of each changed file (None when it
    is removed) and `modes` their git modes where the patch sets them, for applying; `rewards`
    named components, None where one could not be scored.
    """

    verified: bool
    diff: str
    reasons: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    after: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    run: TestRun | None = None
    seconds: float = 0.0

    @property
    def digest(self) -> str:
        """SHA-256 of the diff."""
        return hashlib.sha256(self.diff.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Verifier:
    """Judges candidates of one task.

    `baseline` is the test run before any change: its ids are the ids that must come back, and
    `targets` (a part of its failing ids) must pass.
    """

    workspace: Workspace
    baseline: TestRun
    targets: tuple[str, ...]
    protected: Sequence[str] = ()

    def judge(self, diff: str) -> Verdict:
        """Verify a diff. Raises SandboxError when the sandbox itself fails."""
        clock = timed()
        parts = split(diff, self.protected)
        if parts.findings or not parts.allowed:
            reasons = parts.findings or ("the patch changes no source file",)
            return self._rejected(parts.diff, reasons, parts.findings, clock())
        with self.workspace.fresh() as sandbox:
            before = {part.path: _read(sandbox, part.path) for part in parts.allowed}
            try:
                sandbox.apply(parts.diff)
            except PatchError as error:
                reason = f"the patch does not apply: {error}"
                return self._rejected(parts.diff, (reason,), (), clock())
            files = {part.path: _read(sandbox, part.path) for part in parts.allowed}
            doctested = doctest_files(self.baseline)
            found = tamper_findings(_present(before), _present(files), doctested)
            run = self.workspace.test(sandbox)
        return self._verdict(parts, run, tuple(found), files, clock())

    def _verdict(
        self,
        parts: Split,
        run: TestRun,
        found: tuple[str, ...],
        files: Mapping[str, bytes | None],
        seconds: float,
    ) -> Verdict:
        fixed = tuple(test for test in self.targets if is_green(run, test))
        broken = broken_tests(self.baseline, run)
        new = newly_failing(self.baseline, run)
        gone = self.baseline.outcomes.keys() - run.outcomes.keys()
        missing = sorted(test for test in gone if not is_pseudo(test))
        reasons = list(found)
        if not self.targets:
            reasons.append("no failing test shows the bug")
        if unfixed := [i for i in self.targets if i not in fixed]:
            reasons.append(f"{len(unfixed)} of {len(self.targets)} failing tests still fail")
        if broken:
            reasons.append(f"{len(broken)} passing tests no longer pass: {', '.join(broken[:3])}")
        if new:
            reasons.append(f"{len(new)} tests fail that did not run before: {', '.join(new[:3])}")
        if missing:
            reasons.append(f"{len(missing)} tests did not run: {', '.join(missing[:3])}")
        if not run.complete:
            reasons.append("the test run did not finish")
        return Verdict(
            verified=not reasons,
            diff=parts.diff,
            reasons=tuple(reasons),
            findings=found,
            fixed=fixed,
            broken=broken,
            after=dict(run.outcomes),
            files=files,
            modes={part.path: part.mode for part in parts.allowed if part.mode},
            rewards=_rewards(self, parts, fixed, broken, found, not reasons),
            run=run,
            seconds=seconds,
        )

    def _rejected(
        self, diff: str, reasons: tuple[str, ...], found: tuple[str, ...], seconds: float
    ) -> Verdict:
        rewards: dict[str, float | None] = {
            "resolved": 0.0,
            "fixed": None,
            "regressions": None,
            "tamper": 1.0 if found else 0.0,
            "changed_lines": None,
        }
        return Verdict(False, diff, reasons, found, rewards=rewards, seconds=seconds)


def _rewards(
    verifier: Verifier,
    parts: Split,
    fixed: Sequence[str],
    broken: Sequence[str],
    found: Sequence[str],
    resolved: bool,
) -> dict[str, float | None]:
    """Named reward components; a scalar is a configured function of them."""
    passing = len(passed(verifier.baseline))
    return {
        "resolved": float(resolved),
        "fixed": len(fixed) / len(verifier.targets) if verifier.targets else None,
        "regressions": len(broken) / passing if passing else 0.0,
        "tamper": 1.0 if found else 0.0,
        "changed_lines": float(parts.size),
    }


def _read(sandbox: Sandbox, path: str) -> bytes | None:
    try:
        return sandbox.read(path)
    except PathError:
        return None


def _present(files: Mapping[str, bytes | None]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if data is not None}
