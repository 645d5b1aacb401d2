"""The composition: Task + Policy + Sandbox + Store → Outcome. Every interface calls `solve`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from agent import __version__
from agent.apply import uninterrupted
from agent.attempts import Attempts, attempt_all, judge
from agent.config import Settings
from agent.context.brief import Brief, make_brief
from agent.context.evidence import Evidence
from agent.context.localise import basis, by_lines, changeable, localise
from agent.outcome import Outcome
from agent.reproduce import count_votes, write_reproductions
from agent.session import Listener, Session
from agent.status import AgentError, BudgetSpent, EnvironmentFailure, Status
from agent.targets import choose_targets
from agent.task import Budget, Task
from agent.verify.outcomes import test_files
from agent.verify.protected import with_helpers
from agent.verify.verifier import Verdict, Verifier, with_file
from agent.workspace import Workspace, timed
from policies.base import Message, Policy, PolicyError
from policies.experience.events import Applied, Finished, Located, Prepared, TaskStarted
from policies.experience.redact import redact
from policies.experience.store import Store, StoreError
from tools.codemap import Codemap
from tools.inline_tests import files_of_tests
from tools.sandbox.base import File, Sandbox, SandboxError
from tools.testing.results import TestEnvironmentError, TestRun

TRACE_SECONDS = 20.0
WRITTEN_TESTS = 3
Deliver = Callable[[Status, Verdict], Applied | None]


def solve(
    task: Task,
    policy: Policy,
    workspace: Workspace,
    store: Store,
    settings: Settings,
    listeners: Sequence[Listener] = (),
    deliver: Deliver = lambda *_: None,
) -> Outcome:
    """Solve a task; what happens is an event in the store before anyone sees it.

    `deliver` gets the status and a verdict with a patch (verified or not), decides where it
    goes, and returns the event that says so. Errors of the environment and Ctrl-C end in an
    Outcome; StoreError is raised, since nothing may happen that cannot be recorded. Where the patch
    was delivered already, it is told in the hint.
    """
    budget = Budget(settings.budget_tokens, settings.timeout)
    with store.begin() as writer:
        session = Session(writer, listeners)
        run = _Run(task, policy, workspace, settings, session, budget)
        try:
            outcome = run.solve(deliver)
        except KeyboardInterrupt:
            outcome = run.interrupted()
        except AgentError as error:
            outcome = run.outcome(error.status, str(error), hint=error.hint)
        except BudgetSpent as spent:
            outcome = run.outcome(Status.NOT_SOLVED, str(spent))
        except StoreError as error:
            return run.unrecorded(error)
        except (SandboxError, PolicyError, TestEnvironmentError) as error:
            outcome = run.outcome(Status.ENVIRONMENT, str(error))
        finished = Finished(
            status=outcome.status,
            exit_code=outcome.status.exit_code,
            message=outcome.message,
            **budget.costs(),
        )
        try:
            session.emit(finished)
        except StoreError as error:
            return run.unrecorded(error)
        return outcome


@dataclass
class _Run:
    task: Task
    policy: Policy
    workspace: Workspace
    settings: Settings
    session: Session
    budget: Budget
    before: TestRun | None = None
    targets: tuple[str, ...] = ()
    located: Located | None = None
    delivered: Outcome | None = None
    reproduction: File | None = None
    failed_twice: bool = False
    voters: Mapping[File, Sequence[str]] = dataclasses.field(default_factory=dict)

    def solve(self, deliver: Deliver) -> Outcome:
        issue, _ = redact(self.task.issue)
        self.session.emit(
            TaskStarted(
                issue=issue,
                repository=str(self.task.capture.root),
                base_commit=self.task.capture.head,
                dirty=self.task.capture.dirty,
                policy_version=self.policy.version,
                sandbox=self.workspace.sandbox_kind,
                package_version=__version__,
                settings=self.settings.model_dump(mode="json"),
            )
        )
        clock = timed()
        with self.workspace.fresh() as sandbox:
            self.session.emit(
                Prepared(
                    sandbox=sandbox.name,
                    files=len(self.task.capture.files),
                    bytes=self.task.capture.bytes,
                    test_command=self.workspace.shown_command,
                    seconds=clock(),
                    phase="prepare",
                )
            )
            self.before = self.test_baseline(sandbox)
            self.protect(test_files(self.before.outcomes))
            self.targets = choose_targets(self.task, self.before, self.workspace.command.framework)
            if not self.targets and self.task.targets:
                return self.outcome(Status.NOTHING_TO_DO, "the tests that you named pass already")
            if self.task.patch is not None:
                given = judge(self.session, self.verifier, self.task.patch, self.budget, 0)
                return self.conclude(Attempts(given, 0, ""), deliver, invented=False)
            self.share_prompt(sandbox)
            invented = not self.targets
            if invented and not self.reproduce(sandbox):
                passed = sum(o == "passed" for o in self.before.outcomes.values())
                return self.outcome(
                    Status.NOT_SOLVED,
                    f"all {passed} tests pass, and no test that shows the bug could be written",
                    hint="Add a failing test for the issue and run again.",
                )
            attempts = self.attempt(sandbox)
        return self.conclude(attempts, deliver, invented=invented)

    def test_baseline(self, sandbox: Sandbox) -> TestRun:
        run = self.workspace.test_and_undo(sandbox, seconds=self.budget.seconds_left)
        self.budget.test_seconds += run.seconds
        self.session.record_tests("baseline", run, phase="prepare")
        if not run.outcomes:
            reason = f"stopped by {run.killed_by}" if run.killed_by else f"exit {run.exit_code}"
            raise EnvironmentFailure(
                f"the tests do not run ({reason}): {_last_line(run.output)}",
                "Run the test command yourself, or name another with --test-cmd.",
            )
        return run

    def protect(self, files: tuple[str, ...]) -> None:
        """Protect the files that hold tests, whatever they are called, and those beside them."""
        contents = self.workspace.contents
        tests = (*with_helpers(files, contents), *sorted(files_of_tests(contents)))
        protected = (*self.settings.protected, *tests)
        self.settings = self.settings.model_copy(update={"protected": protected})

    def gather(self, sandbox: Sandbox) -> Evidence:
        """Localise: rank the symbols by what the failing tests run, and the lines of the best."""
        assert self.before is not None
        clock = timed()
        files = {f.path: f.data for f in self.workspace.files if f.mode != "120000"}
        codemap = Codemap.build(files.items())
        traced = self.before
        pytest = self.workspace.command.framework == "pytest"
        if self.targets and pytest:
            traced = self.trace(sandbox, self.before)
            self.failed_twice = not {*self.targets}.isdisjoint(traced.failing)
        ranked = localise(
            codemap, files, traced, self.targets, self.task.issue, self.settings.protected
        )
        self.evidence = Evidence(
            codemap, files, ranked, traced, voters=self.voters, place=self.task.place
        )
        if self.targets and pytest and self.tries_edits:
            tracing = timed()
            scores = self.evidence.line_scores(
                sandbox, self.workspace.command, self.targets, self.budget.seconds_left
            )
            self.budget.test_seconds += tracing()
            ranked = by_lines(codemap, ranked, scores)
            self.evidence = dataclasses.replace(self.evidence, ranked=ranked, scores=scores)
        self.located = Located(
            symbols=tuple(ranked[:20]),
            on=basis(codemap, traced, self.targets, ranked),
            seconds=clock(),
            phase="prepare",
        )
        self.session.emit(self.located)
        if not ranked:
            raise EnvironmentFailure(
                "no source code was found that could be changed",
                "Apprentice edits Python, JavaScript, TypeScript, Go and Rust.",
            )
        return self.evidence

    @property
    def tries_edits(self) -> bool:
        """Whether small edits are tried in bulk."""
        tried = {"search", "infill"} & {*self.settings.strategies}
        return bool(tried) and not self.policy.calls_tools

    def share_prompt(self, sandbox: Sandbox) -> None:
        """Localise and write the part of the prompt that all attempts share."""
        self.brief = self.make_brief(self.gather(sandbox))
        for role, text in (("system", self.brief.system), ("user", self.brief.task)):
            message = Message.model_validate({"role": role, "content": text})
            self.session.prompt(message, attempt=None, round=None, phase="prepare")

    def make_brief(self, evidence: Evidence) -> Brief:
        """What attempts are told of the evidence."""
        assert self.before is not None
        return make_brief(
            redact(self.task.issue)[0],
            self.before,
            self.targets,
            evidence.codemap,
            evidence.files,
            evidence.ranked,
            changeable=changeable(evidence.codemap, evidence.files, self.settings.protected),
            calls_tools=self.policy.calls_tools,
            prompt_tokens=self.settings.prompt_tokens,
            count=lambda text: self.policy.count_tokens([Message(role="user", content=text)]),
        )

    def trace(self, sandbox: Sandbox, run: TestRun) -> TestRun:
        """Run again with calls recorded: everything when that is quick, else the targets."""
        only = () if run.seconds < TRACE_SECONDS else self.targets
        left = self.budget.seconds_left
        traced = self.workspace.test_and_undo(sandbox, only, trace=True, seconds=left)
        self.budget.test_seconds += traced.seconds
        return traced

    def reproduce(self, sandbox: Sandbox) -> bool:
        """Write failing tests from the issue and make those of the first the targets."""
        assert self.before is not None
        found = write_reproductions(
            self.task.issue,
            self.brief.sources,
            self.session,
            self.policy,
            sandbox,
            self.workspace,
            self.settings,
            self.budget,
            wanted=WRITTEN_TESTS if self.tries_edits else 1,
        )
        if not found:
            return False
        (file, run), *others = found
        self.voters = {other: failed.failing for other, failed in others}
        self.reproduction = file
        self.workspace = self.workspace.with_file(file)
        sandbox.write(file.path, file.data)
        self.targets = run.failing
        outcomes = {**self.before.outcomes, **run.outcomes}
        failures = {**self.before.failures, **run.failures}
        self.before = dataclasses.replace(self.before, outcomes=outcomes, failures=failures)
        shown = "\n".join(f"{t}: {f.longrepr or f.message}" for t, f in run.failures.items())
        text = f"This test shows the bug:\n```python\n{file.data.decode()}```\n{shown[:900]}"
        message = Message(role="user", content=text)
        self.session.prompt(message, attempt=None, round=None, phase="reproduce")
        self.brief = self.make_brief(self.gather(sandbox))
        return True

    def advice(self, fixed: Collection[str] = ()) -> str:
        """What to try next: tests may take too long to be of use, and those that nobody asked for
        may have nothing to do with the issue."""
        assert self.before is not None
        if not self.before.complete and self.before.killed_by == "timeout":
            short = self.before.seconds < self.settings.test_timeout
            return (
                f"The tests were cut off after {self.before.seconds:.0f} s, so nothing can be "
                f"verified: raise {'--timeout' if short else '--test-timeout'}, or name a part of "
                "them with --test-cmd."
            )
        asked = self.task.targets or self.reproduction or len(self.targets) < 2
        if asked or {*self.targets} < {*self.before.failing} or {*self.targets} <= {*fixed}:
            return ""
        return (
            f"All {len(self.targets)} failing tests had to pass. If some are not about this issue, "
            "name those that are with --test."
        )

    @property
    def verifier(self) -> Verifier:
        """The judge of this task's candidates."""
        assert self.before is not None
        return Verifier(
            self.workspace,
            self.before,
            self.targets,
            self.settings.protected,
            self.task.held_out,
            self.failed_twice,
        )

    def attempt(self, sandbox: Sandbox) -> Attempts:
        return attempt_all(
            self.session,
            self.policy,
            sandbox,
            self.workspace,
            self.brief,
            self.evidence,
            self.verifier,
            self.settings,
            self.budget,
        )

    def conclude(self, attempts: Attempts, deliver: Deliver, *, invented: bool) -> Outcome:
        verdict = attempts.verdict
        if verdict is None:
            return self.outcome(
                Status.NOT_SOLVED, attempts.reason, attempts=attempts.count, hint=self.advice()
            )
        votes = None
        hint = "" if verdict.verified else self.advice(verdict.fixed)
        status = Status.VERIFIED if verdict.verified else Status.UNVERIFIED
        message = "verified" if verdict.verified else "; ".join(verdict.reasons)
        if verdict.verified and invented:
            status = Status.UNVERIFIED
            message = "the only test that shows the bug was written by the policy itself"
            if self.voters:
                patched = self.workspace.patched(verdict.files, verdict.modes)
                votes = count_votes(patched, self.voters, self.budget)
                message = (
                    "only tests written by the policy itself show the bug: "
                    f"{votes[0]} of {votes[1]} pass"
                )
        if self.settings.with_test and self.reproduction is not None:
            verdict = with_file(verdict, self.reproduction)
        try:
            with uninterrupted():
                applied = deliver(status, verdict)
                self.delivered = self.outcome(
                    status,
                    message,
                    verdict=verdict,
                    attempts=attempts.count,
                    applied=applied,
                    hint=hint,
                    votes=votes,
                    rivals=attempts.rivals,
                )
                if applied is not None:
                    self.session.emit(applied)
        except AgentError as error:
            return self.outcome(
                error.status, str(error), verdict=verdict, attempts=attempts.count, hint=error.hint
            )
        return self.delivered

    def interrupted(self) -> Outcome:
        """What Ctrl-C leaves: a run that had delivered its patch has ended as it would have."""
        done = self.delivered
        return done or self.outcome(Status.INTERRUPTED, "interrupted; your files are untouched")

    def unrecorded(self, error: StoreError) -> Outcome:
        """A delivered patch whose end is not in the store. Raises `error` where none is."""
        if self.delivered is None:
            raise error
        told = f"The end of this run is not in the store: {error}"
        return dataclasses.replace(self.delivered, hint=f"{self.delivered.hint} {told}".strip())

    def outcome(
        self,
        status: Status,
        message: str,
        *,
        verdict: Verdict | None = None,
        attempts: int = 0,
        applied: Applied | None = None,
        hint: str = "",
        votes: tuple[int, int] | None = None,
        rivals: int | None = None,
    ) -> Outcome:
        return Outcome(
            status=status,
            message=message,
            trajectory=self.session.id,
            verdict=verdict,
            before=self.before,
            targets=self.targets,
            attempts=attempts,
            budget=self.budget,
            applied=applied,
            hint=hint,
            reproduction=self.reproduction,
            votes=votes,
            rivals=rivals,
            located=self.located,
        )


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"
