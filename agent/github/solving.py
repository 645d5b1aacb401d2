"""The first job: read an event, run the agent, leave a result. It may read only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.github.artifact import EXPERIENCE, MAX_NAMES, NewTest, Solved, tally, write
from agent.github.client import Client
from agent.github.event import IssueEvent, read_event
from agent.github.gate import Refusal, refusal
from agent.github.runner import Runner
from agent.github.text import code, fenced, issue_text
from agent.run import Audience, Order, run
from agent.status import Status, UsageError
from agent.verify.outcomes import test_files
from policies.base import Progress
from policies.experience.events import AttemptEnded, Event, Judged, Located, Sampled, TaskStarted

if TYPE_CHECKING:
    from agent.outcome import Outcome
    from agent.session import Listener

_KEY_NAME = re.compile(r"[A-Z][A-Z0-9_]*_(API_KEY|TOKEN|KEY)")
_SECRETS = (
    "APPRENTICE_MODEL_KEY", "GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What the workflow asks for. `overrides` are settings (None: not given)."""

    repository: Path
    output: Path
    label: str
    auto: bool = False
    key_name: str = ""
    key: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)


def ask(runner: Runner, label: str, *, auto: bool) -> Refusal | None:
    """Why the runner's event is refused, None when it is not, before anything costly is done.

    Sets the output `allowed`; where it is "false", also `status` and `propose` as `solve_event`.
    """
    event = read_event(runner.event_path, IssueEvent)
    client = Client(runner.repository, runner.api_url, runner.token)
    refused = refusal(event, client, label, auto=auto)
    runner.output(allowed="true" if refused is None else "false")
    if refused is not None:
        runner.output(status="refused", propose="true" if refused.told else "false")
        runner.summary(f"Issue {event.issue.number} was not worked on: {code(refused.reason)}")
    return refused


def solve_event(runner: Runner, request: Request, shown: Listener) -> Solved | Refusal:
    """Solve the issue of the runner's event, unless it is refused, and write the artifact.

    Sets the outputs `status` (a status, or "refused") and `propose` ("true" when the other job has
    something to say). Raises AgentError and what `run` raises.
    """
    event = read_event(runner.event_path, IssueEvent)
    refused = ask(runner, request.label, auto=request.auto)
    if refused is not None:
        return refused
    seen = _Seen(shown)
    try:
        with _own_secrets(request):
            text = issue_text(event.issue.title, event.issue.body)
            # Whether the test that the model wrote is proposed is for the workflow to say.
            overrides = {**request.overrides, "with_test": False}
            order = Order(request.repository, text, overrides=overrides)
            outcome = run(order, Audience(view=nullcontext(seen)))
    except Exception as error:
        runner.output(status="environment", propose="true")
        runner.summary(f"The agent did not start: {code(str(error), 1000)}")
        raise
    solved = write(
        request.output,
        _solved(event.issue.number, outcome, seen),
        outcome.verdict.diff if outcome.verdict else "",
    )
    _keep(outcome.trajectory, request.output / EXPERIENCE)
    runner.output(status=solved.status.value, propose="true", trajectory=solved.trajectory)
    runner.summary(_summary(solved))
    return solved


class _Seen:
    """A listener that remembers what the report needs."""

    def __init__(self, shown: Listener) -> None:
        self.started: TaskStarted | None = None
        self.plan = self.suspects = ""
        self.findings: tuple[str, ...] = ()
        self._shown = shown

    def __call__(self, event: Event | Progress) -> None:
        match event:
            case TaskStarted():
                self.started = event
            case Located(symbols=symbols):
                self.suspects = "suspected: " + ", ".join(name for name, _ in symbols[:3])
            case Sampled(phase="plan" | "critique", chosen=True):
                self.plan = _thought(event)
            case Judged(verified=False, findings=findings):
                self.findings += findings
            case AttemptEnded(reason=reason) if reason != "solved":
                self.plan = ""
        self._shown(event)


@contextmanager
def _own_secrets(request: Request) -> Iterator[None]:
    """Have the model's key set, and no other secret, in this process while a run lasts."""
    if request.key and not _KEY_NAME.fullmatch(request.key_name):
        raise UsageError(
            f"{request.key_name!r} is no name of a key",
            "Give the variable that the provider's key has, for example ANTHROPIC_API_KEY.",
        )
    given = {request.key_name: request.key} if request.key else {}
    old = {name: os.environ.pop(name, None) for name in (*_SECRETS, *given)}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in old.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _solved(number: int, outcome: Outcome, seen: _Seen) -> Solved:
    verdict, budget, started = outcome.verdict, outcome.budget, seen.started
    assert started is not None
    assert budget is not None
    before = outcome.before.outcomes if outcome.before else {}
    test = outcome.reproduction
    return Solved(
        status=outcome.status,
        message=outcome.message[:4000],
        hint=outcome.hint[:4000],
        issue=number,
        base_commit=started.base_commit,
        trajectory=outcome.trajectory,
        model=started.policy_version[:1000],
        plan=(seen.plan or seen.suspects[:4000]) if verdict else "",
        targets=_names(outcome.targets),
        before=tally(before),
        after=tally(verdict.after) if verdict else {},
        fixed=_names(verdict.fixed) if verdict else (),
        broken=_names(verdict.broken) if verdict else (),
        test_files=_names(test_files(before), 5000),
        findings=_names(verdict.findings) if verdict else (),
        suspicions=_names(outcome.doubts),
        rejected=_names(tuple(dict.fromkeys(seen.findings))),
        new_test=NewTest(path=test.path, text=test.data.decode()) if test and verdict else None,
        attempts=outcome.attempts,
        seconds=round(budget.elapsed, 1),
        model_seconds=round(budget.model_seconds, 1),
        test_seconds=round(budget.test_seconds, 1),
        prompt_tokens=budget.usage.prompt,
        cached_tokens=budget.usage.cached,
        completion_tokens=budget.usage.completion,
    )


def _thought(event: Sampled) -> str:
    """What the policy thought, without the form that it had to have."""
    said = [event.text.partition("\n")[2]] if "\n" in event.text else [event.text]
    said += [
        f"{key}: {value}" for call in event.tool_calls for key, value in call.arguments.items()
    ]
    return "\n".join(said).strip()[:4000]


def _names(names: tuple[str, ...], most: int = MAX_NAMES) -> tuple[str, ...]:
    return tuple(name[:1000] for name in names[:most])


def _keep(trajectory: str, path: Path) -> None:
    """A store of this one trajectory, for the artifact."""
    from policies.experience.store import Store

    path.unlink(missing_ok=True)
    with Store.open() as store, Store.open(path) as copy:
        copy.adopt(trajectory, store.events(trajectory))


def _summary(solved: Solved) -> str:
    title = {Status.VERIFIED: "Verified fix", Status.UNVERIFIED: "Unverified fix"}
    lines = [f"### {title.get(solved.status, 'No fix')} of issue {solved.issue}"]
    if solved.status is not Status.VERIFIED:
        lines.append(fenced(f"{solved.message}\n{solved.hint}".strip(), most=2000))
    lines.append(f"{solved.seconds:.0f} s, {solved.attempts} attempts, {code(solved.model)}")
    return "\n\n".join(lines)
