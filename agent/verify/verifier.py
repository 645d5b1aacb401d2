"""The verifier: a candidate's diff, on a clean copy, in a fresh sandbox, against all tests."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.verify.audit import audit, padded
from agent.verify.held_out import judge
from agent.verify.outcomes import broken as broken_tests
from agent.verify.outcomes import (
    doctest_files,
    is_green,
    missing,
    newly_failing,
    passed,
    test_files,
)
from agent.verify.patch import Split, added, split
from agent.verify.protected import is_protected
from agent.verify.tamper import does_already, hard_coded, suspicions
from agent.verify.tamper import findings as tamper_findings
from agent.workspace import Workspace, timed
from tools.sandbox.base import File, PatchError, PathError, Sandbox
from tools.testing.results import TestEnvironmentError, TestRun


@dataclass(frozen=True)
class Verdict:
    """What the verifier saw. Only `verified` patches are ever called fixes.

    `after` holds outcomes by test id; `files` the new bytes of each changed file (None when it
    is removed) and `modes` their git modes where the patch sets them, for applying; `rewards`
    named components, None where one could not be scored. `findings` are attempts on the judge;
    `suspicions` are what an honest patch may have as well, and decide nothing.
    """

    verified: bool
    diff: str
    reasons: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    suspicions: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    after: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    run: TestRun | None = None
    test_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def digest(self) -> str:
        """SHA-256 of the diff."""
        return hashlib.sha256(self.diff.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Verifier:
    """Judges candidates of one task.

    `baseline` is the test run before any change: its ids are the ids that must come back, and
    `targets` (a part of its failing ids) must pass. `held_out` are test files that no policy has
    seen, which must pass as well. `failed_twice` says that another run without a change has shown
    the targets failing as well; else a patch that passes is followed by one.
    """

    workspace: Workspace
    baseline: TestRun
    targets: tuple[str, ...]
    protected: Sequence[str] = ()
    held_out: tuple[File, ...] = ()
    failed_twice: bool = False

    def judge(self, diff: str) -> Verdict:
        """Verify a diff. Raises SandboxError when the sandbox itself fails."""
        clock = timed()
        runs: list[TestRun] = []

        def test(sandbox: Sandbox, only: tuple[str, ...] = ()) -> TestRun:
            runs.append(self.workspace.test(sandbox, only))
            return runs[-1]

        parts = split(diff, self.protected)
        links = {file.path for file in self.workspace.files if file.mode == "120000"}
        turned = tuple(f"changes a link: {p.path}" for p in parts.allowed if p.path in links)
        if turned:
            return self._rejected(parts.diff, turned, turned, clock())
        if parts.findings or not parts.allowed:
            left_out = f" (left out: {', '.join(parts.dropped[:3])})" if parts.dropped else ""
            reasons = parts.findings or (f"the patch changes no source file{left_out}",)
            return self._rejected(parts.diff, reasons, parts.findings, clock())
        with self.workspace.fresh() as sandbox:
            before = {part.path: _read(sandbox, part.path) for part in parts.allowed}
            try:
                sandbox.apply(parts.diff)
            except PatchError as error:
                reason = f"the patch does not apply: {error}"
                return self._rejected(parts.diff, (reason,), (), clock())
            files = {part.path: _read(sandbox, part.path) for part in parts.allowed}
            tests = self._pad_tests(sandbox)
            try:
                run = test(sandbox)
            except TestEnvironmentError as error:
                reason = f"the tests do not start with this patch: {error}"
                return self._rejected(parts.diff, (reason,), (), clock())
            rewritten = [path for path, data in tests.items() if _read(sandbox, path) != data]
        old, new = _present(before), _present(files)
        found = self._findings(old, new, run)
        found += tuple(f"the run rewrites {path}" for path in rewritten)
        failures = self._failures(run)
        noted = suspicions(old, new)
        modes = {part.path: part.mode for part in parts.allowed if part.mode}
        if not found and not failures:
            tree = self.workspace.patched(files, modes)
            audited = audit(self.workspace, tree, test, run, self.targets)
            found = (audited.finding,) if audited.finding else ()
            if audited.unchecked:
                noted.append(f"no control: {', '.join(audited.unchecked[:3])}")
            if not found and self.held_out and (reason := judge(tree, self.held_out).reason):
                failures = (reason,)
            if not found and not failures and not self._fails_without(test):
                failures = ("the failing tests pass without the patch as well: they are flaky",)
        fixed = tuple(test for test in self.targets if is_green(run, test))
        broken = broken_tests(self.baseline, run)
        reasons = (*found, *failures)
        return Verdict(
            verified=not reasons,
            diff=parts.diff,
            reasons=reasons,
            findings=found,
            suspicions=tuple(noted),
            fixed=fixed,
            broken=broken,
            after=dict(run.outcomes),
            files=files,
            modes=modes,
            rewards=_rewards(self, parts, fixed, broken, found, not reasons),
            run=run,
            test_seconds=sum(run.seconds for run in runs),
            seconds=clock(),
        )

    def _fails_without(self, test: Callable[[Sandbox, tuple[str, ...]], TestRun]) -> bool:
        """Whether a target fails again on the untouched copy, alone or among all tests."""
        if self.failed_twice:
            return True
        for only in (self.targets, ()):
            with self.workspace.fresh() as sandbox:
                try:
                    run = test(sandbox, only)
                except TestEnvironmentError:
                    return True
            if not all(is_green(run, target) for target in self.targets):
                return True
        return False

    def _findings(
        self, old: Mapping[str, bytes], new: Mapping[str, bytes], run: TestRun
    ) -> tuple[str, ...]:
        """What the patch does to its judge, by its text and by what it replaced in the run."""
        return (
            *tamper_findings(old, new, doctest_files(self.baseline.outcomes)),
            *hard_coded(old, new, self.workspace.contents, self.targets),
            *(done for done in run.patched if self._is_new(done, old, new)),
        )

    def _is_new(self, done: str, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> bool:
        """Whether what was seen in the run is the patch's work.

        Tests may put what they like in place; and code that was there before may look around, for
        a run that failed early may not have come to it.
        """
        by = done.rpartition(" by ")[2].rpartition(": ")[2]
        if done in self.baseline.patched or is_protected(by, self.protected):
            return False
        if done.endswith((f" replaced by {by}", f" added by {by}", f" set by {by}")):
            return True
        if by in old:
            return not does_already(old[by], by, done.partition(": ")[0])
        return by in new or by not in self.workspace.contents

    def _pad_tests(self, sandbox: Sandbox) -> dict[str, bytes]:
        """Give the test files other sizes, so that none tells the run from its control."""
        contents = self.workspace.contents
        paths = [path for path in test_files(self.baseline.outcomes) if path in contents]
        written = {path: padded(path, contents[path]) for path in paths}
        for path, data in written.items():
            sandbox.write(path, data)
        return written

    def _failures(self, run: TestRun) -> tuple[str, ...]:
        """Why the run does not show a fix."""
        unfixed = [test for test in self.targets if not is_green(run, test)]
        broken = broken_tests(self.baseline, run)
        new = newly_failing(self.baseline, run)
        absent = missing(self.baseline, run)
        reasons = []
        if not self.targets:
            reasons.append("no failing test shows the bug")
        if unfixed:
            reasons.append(f"{len(unfixed)} of {len(self.targets)} failing tests still fail")
        if broken:
            reasons.append(f"{len(broken)} passing tests no longer pass: {', '.join(broken[:3])}")
        if new:
            reasons.append(f"{len(new)} tests fail that did not run before: {', '.join(new[:3])}")
        if absent:
            reasons.append(f"{len(absent)} tests did not run: {', '.join(absent[:3])}")
        if not run.complete:
            reasons.append("the test run did not finish")
        return tuple(reasons)

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


def with_file(verdict: Verdict, file: File) -> Verdict:
    """The verdict with one more new file in its patch, which the judged tree held already."""
    return dataclasses.replace(
        verdict,
        diff=verdict.diff + added(file.path, file.data),
        files={**verdict.files, file.path: file.data},
        modes={**verdict.modes, file.path: file.mode},
    )


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
