"""No failing test: have the policy write some from the issue, and believe one only if it fails."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from agent.actions import FormatError, constraint, form, parse
from agent.config import Settings
from agent.context.prompts import render
from agent.paths import module_of
from agent.session import Session
from agent.task import Budget
from agent.workspace import Workspace, timed
from policies.base import Completion, ContextOverflow, Message, Policy, Sampling
from policies.experience.events import Observed
from tools.edit import CREATE_FILE
from tools.sandbox.base import File, Sandbox, SandboxError
from tools.testing.results import TestEnvironmentError, TestRun

TRIES = 4
MAX_TOKENS = 400
MOST_IMPORTS = 6
MOST_LINES = 16
_WRONG_REASONS = (
    "ImportError", "ModuleNotFoundError", "SyntaxError", "NameError", "IndentationError",
    "fixture", "FileNotFoundError",
)  # fmt: skip
_NEEDS_NO_IMPORT = re.compile(r"^\s*(import .*\bpytest\b|from __future__ )", re.MULTILINE)
_EXCEPTION = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Iteration|Exit)\b")


def write_reproductions(
    issue: str,
    suspects: Iterable[str],
    session: Session,
    policy: Policy,
    sandbox: Sandbox,
    workspace: Workspace,
    settings: Settings,
    budget: Budget,
    *,
    wanted: int,
) -> list[tuple[File, TestRun]]:
    """Up to `wanted` test files that fail on the untouched code for the issue's reason, each with
    its run alone.

    A test that is refused is answered with the reason, one that is accepted with the wish for
    another. `suspects` are ids of symbols. Raises BudgetSpent. Only for pytest.
    """
    if workspace.command.framework != "pytest":
        return []
    text = render("reproduce", form=form(CREATE_FILE), imports=imports(suspects))
    session.prompt(Message(role="user", content=text), attempt=-1, round=None, phase="reproduce")
    base = sandbox.snapshot()
    found: list[tuple[File, TestRun]] = []
    for number in range(TRIES):
        budget.check()
        path = _free_path({file.path for file in (*workspace.files, *(f for f, _ in found))})
        try:
            completion = _ask(session, policy, settings, budget, path, number)
        except ContextOverflow:
            break
        code = _code(completion)
        if not code:
            _again(session, completion, number, "it is not in that form, or too long")
            continue
        file = File(path, code.encode())
        sandbox.write(path, file.data)
        run = workspace.test(sandbox, (path,), seconds=budget.seconds_left)
        budget.test_seconds += run.seconds
        sandbox.restore(base)
        why = refusal(run, issue)
        if file.data in [other.data for other, _ in found]:
            why = "it is the same test again"
        session.record_tests("reproduction", run, attempt=-1, round=number, phase="reproduce")
        session.emit(
            Observed(
                tool="reproduction", ok=not why, text=why or "it fails before the fix",
                attempt=-1, round=number, phase="reproduce",
            )
        )  # fmt: skip
        if not why:
            found.append((file, run))
        if len(found) == wanted:
            break
        _again(session, completion, number, why)
    return found


def count_votes(patched: Workspace, voters: Iterable[File], budget: Budget) -> tuple[int, int]:
    """How many of the test files that the policy wrote pass with a patch, of how many.

    The one that the patch was verified with is among them, without being in `voters`; one that
    cannot be run is not.
    """
    passing = ran = 1
    for file in voters:
        own = patched.with_file(file)
        try:
            with own.fresh() as sandbox:
                run = own.test(sandbox, (file.path,), seconds=budget.seconds_left)
        except (SandboxError, TestEnvironmentError):
            continue
        ran += 1
        budget.test_seconds += run.seconds
        passing += run.complete and bool(run.outcomes) and not run.failing
    return passing, ran


def _ask(
    session: Session, policy: Policy, settings: Settings, budget: Budget, path: str, number: int
) -> Completion:
    sampling = Sampling(
        temperature=0.0 if number == 0 else settings.temperature,
        max_tokens=MAX_TOKENS,
        seed=settings.seed + number,
    )
    limit = constraint(
        [CREATE_FILE], {"path": [path]}, calls_tools=policy.calls_tools, lines=MOST_LINES
    )
    progress = budget.holding(session.progress)
    clock = timed()
    completion = policy.sample(session.messages(-1), 1, sampling, limit, progress)[0]
    budget.charge(completion.usage, clock())
    session.record(completion, sampling, limit, attempt=-1, round=number, phase="reproduce")
    return completion


def _code(completion: Completion) -> str:
    """The test file that a completion holds; empty when it holds none."""
    try:
        return runnable(str(parse(completion, [CREATE_FILE])[0].arguments.get("content", "")))
    except FormatError:
        return ""


def runnable(code: str) -> str:
    """A test file with the import that small models forget."""
    forgotten = "pytest." in code and not _NEEDS_NO_IMPORT.search(code)
    return f"import pytest\n{code}" if forgotten else code


def _again(session: Session, completion: Completion, number: int, why: str) -> None:
    """Tell the policy why its test is not accepted, or that another one is wanted."""
    if number + 1 == TRIES:
        return
    text = render("reproduce_again", why=why)
    calls = [call.id for call in completion.tool_calls]
    replies = [Message(role="tool", content=text, tool_call_id=call) for call in calls]
    for message in replies or [Message(role="user", content=text)]:
        session.prompt(message, attempt=-1, round=number, phase="reproduce")


def imports(suspects: Iterable[str]) -> list[str]:
    """How the functions and classes that the suspects are or belong to are imported."""
    places = (symbol.split("::", 1) for symbol in suspects)
    named = ((module_of(path), name.split(".", 1)[0]) for path, name in places)
    lines = (f"from {module} import {name}" for module, name in named if module)
    return list(dict.fromkeys(lines))[:MOST_IMPORTS]


def refusal(run: TestRun, issue: str) -> str:
    """Why a reproduction is not accepted; empty when it is.

    Where the issue names exceptions, an assertion or one of them must fail the test.
    """
    named = set(_EXCEPTION.findall(issue))
    failed = [test for test, outcome in run.outcomes.items() if outcome in ("failed", "hung")]
    if not failed:
        return "no test of it fails before the fix" if run.outcomes else "it holds no test"
    if any(outcome == "error" for outcome in run.outcomes.values()):
        return "it does not run"
    for test in failed:
        failure = run.failures.get(test)
        message = failure.message if failure else ""
        if any(reason in message for reason in _WRONG_REASONS if reason not in named):
            return f"it fails for a reason of its own: {message[:120]}"
        raised = failure.exception.rpartition(".")[2] if failure else ""
        if raised.endswith("Warning") and raised not in named:
            return f"it fails with {raised}, of which the issue says nothing"
        if named and raised and raised not in named | {"AssertionError", "Failed"}:
            return f"it fails with {raised}, of which the issue says nothing"
    return ""


def _free_path(paths: Collection[str]) -> str:
    folder = next((f for f in ("tests/", "test/") if any(p.startswith(f) for p in paths)), "")
    name, number = f"{folder}test_reproduction.py", 1
    while name in paths:
        number += 1
        name = f"{folder}test_reproduction_{number}.py"
    return name
