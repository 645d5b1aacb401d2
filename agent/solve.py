"""The composition: Task + Policy + Sandbox + Store → Outcome. Every interface calls `solve`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent import __version__
from agent.apply import uninterrupted
from agent.attempts import Attempts, attempt_all, judge
from agent.config import Settings
from agent.context.brief import Brief, make_brief
from agent.context.evidence import Evidence
from agent.context.localise import by_lines, localise
from agent.reproduce import write_reproductions
from agent.session import Listener, Session
from agent.status import AgentError, BudgetSpent, EnvironmentFailure, Status, UsageError
from agent.task import Budget, Task
from agent.verify.outcomes import lacks_module, test_files
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


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `verdict` is None when no patch got as far as the verifier.

    `reproduction` is the test that the policy wrote from the issue, where it had to, and `votes`
    says how many of all the tests that it wrote so the patch passes, and how many these are.
    `rivals` counts other small edits that pass the same tests and do something else, None where
    none was looked for.
    """

    status: Status
    message: str
    trajectory: str
    verdict: Verdict | None = None
    before: TestRun | None = None
    targets: tuple[str, ...] = ()
    attempts: int = 0
    budget: Budget | None = None
    applied: Applied | None = None
    hint: str = ""
    reproduction: File | None = None
    votes: tuple[int, int] | None = None
    rivals: int | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader of the patch should look at."""
        noted = self.verdict.suspicions if self.verdict else ()
        if not self.rivals:
            return noted
        edits = "edit passes" if self.rivals == 1 else "edits pass"
        told = f"{self.rivals} other small {edits} the same tests: one more test would decide"
        return (*noted, told)


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
    Outcome; StoreError is raised, since nothing may happen that cannot be recorded.
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
        except StoreError:
            raise
        except (SandboxError, PolicyError, TestEnvironmentError) as error:
            outcome = run.outcome(Status.ENVIRONMENT, str(error))
        session.emit(
            Finished(
                status=outcome.status,
                exit_code=outcome.status.exit_code,
                message=outcome.message,
                **budget.costs(),
            )
        )
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
    delivered: Outcome | None = None
    reproduction: File | None = None
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
            self.targets = self.choose_targets(self.before)
            if not self.targets and self.task.targets:
                return self.outcome(Status.NOTHING_TO_DO, "the tests that you named pass already")
            if self.task.patch is not None:
                given = judge(self.session, self.verifier, self.task.patch, self.budget, 0)
                return self.conclude(Attempts(given, 0, ""), deliver, invented=False)
            self.share_prompt(sandbox)
            invented = not self.targets
            if invented and not self.task.reproduces:
                raise UsageError("none of its tests fails")
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
        run = self.workspace.test(sandbox, seconds=self.budget.seconds_left)
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
        """Protect the files that hold tests, whatever they are called."""
        more = files_of_tests(self.workspace.contents)
        protected = (*self.settings.protected, *files, *sorted(more))
        self.settings = self.settings.model_copy(update={"protected": protected})

    def choose_targets(self, run: TestRun) -> tuple[str, ...]:
        """The failing tests to turn green: those asked for, those named in the issue, or all."""
        failing = [test for test in run.failing if not lacks_module(run, test)]
        if run.missing_modules and not failing and not run.passing:
            raise EnvironmentFailure(
                f"the tests need packages that are not installed: {', '.join(run.missing_modules)}",
                "Install them in a virtual environment and name it with --env, or activate it.",
            )
        asked = self.task.targets
        if asked:
            known = [t for t in run.outcomes if any(_belongs(t, a) for a in asked)]
            if not known:
                raise UsageError(
                    f"no test matches {', '.join(asked)}",
                    "Name tests as the runner does, for example tests/test_x.py::test_y.",
                )
            return tuple(t for t in known if t in failing)
        named = [t for t in failing if self.is_named(t)]
        return tuple(named or failing)

    def is_named(self, test: str) -> bool:
        """Whether the issue names a test: by its id, one of pytest's also by its function."""
        issue = self.task.issue
        by_function = self.workspace.command.framework == "pytest"
        return test in issue or (by_function and _function(test) in issue)

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
        ranked = localise(
            codemap, files, traced, self.targets, self.task.issue, self.settings.protected
        )
        self.evidence = Evidence(codemap, files, ranked, traced, voters=self.voters)
        if self.targets and pytest and self.tries_edits:
            tracing = timed()
            scores = self.evidence.line_scores(
                sandbox, self.workspace.command, self.targets, self.budget.seconds_left
            )
            self.budget.test_seconds += tracing()
            ranked = by_lines(codemap, ranked, scores)
            self.evidence = dataclasses.replace(self.evidence, ranked=ranked, scores=scores)
        self.session.emit(Located(symbols=tuple(ranked[:20]), seconds=clock(), phase="prepare"))
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
            calls_tools=self.policy.calls_tools,
            prompt_tokens=self.settings.prompt_tokens,
            count=lambda text: self.policy.count_tokens([Message(role="user", content=text)]),
        )

    def trace(self, sandbox: Sandbox, run: TestRun) -> TestRun:
        """Run again with calls recorded: everything when that is quick, else the targets."""
        only = () if run.seconds < TRACE_SECONDS else self.targets
        traced = self.workspace.test(sandbox, only, trace=True, seconds=self.budget.seconds_left)
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
            return self.outcome(Status.NOT_SOLVED, attempts.reason, attempts=attempts.count)
        votes = None
        status = Status.VERIFIED if verdict.verified else Status.UNVERIFIED
        message = "verified" if verdict.verified else "; ".join(verdict.reasons)
        if verdict.verified and invented:
            status = Status.UNVERIFIED
            message = "the only test that shows the bug was written by the policy itself"
            if self.voters:
                votes = self.count_votes(verdict)
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

    def count_votes(self, verdict: Verdict) -> tuple[int, int]:
        """How many of the test files that the policy wrote pass with a patch, of how many.

        The one that the patch was verified with is among them; one that cannot be run is not.
        """
        passing = ran = 1
        tree = self.workspace.patched(verdict.files, verdict.modes)
        for file in self.voters:
            own = tree.with_file(file)
            try:
                with own.fresh() as sandbox:
                    run = own.test(sandbox, (file.path,), seconds=self.budget.seconds_left)
            except (SandboxError, TestEnvironmentError):
                continue
            ran += 1
            self.budget.test_seconds += run.seconds
            passing += run.complete and bool(run.outcomes) and not run.failing
        return passing, ran

    def interrupted(self) -> Outcome:
        """What Ctrl-C leaves: a run that had delivered its patch has ended as it would have."""
        done = self.delivered
        return done or self.outcome(Status.INTERRUPTED, "interrupted; your files are untouched")

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
        )


def _belongs(test: str, asked: str) -> bool:
    return test == asked or test.startswith((f"{asked}::", f"{asked}["))


def _function(test: str) -> str:
    return test.rpartition("::")[2].split("[", 1)[0]


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"
