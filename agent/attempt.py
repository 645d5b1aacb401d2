"""What every kind of attempt does: ask the policy, act in the sandbox, test, and record it all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agent.actions import PYTHON, Action, FormatError, constraint, parse
from agent.config import Settings
from agent.context.brief import Brief
from agent.context.compact import superseded
from agent.session import Session
from agent.task import Budget
from agent.verify.outcomes import is_green
from agent.verify.protected import is_protected
from agent.workspace import Workspace, timed
from policies.base import Message, OnProgress, Policy, Sampling
from policies.experience.events import Acted, AttemptEnded, Observed, Patched, Phase, Shortened
from policies.experience.prompt import shortened
from policies.team import answering
from tools.base import Observation, Tool
from tools.edit import CREATE_FILE, EDIT_SYMBOL, REPLACE_TEXT
from tools.sandbox.base import Sandbox
from tools.testing.results import TestRun


@dataclass
class Attempt(ABC):
    """One attempt at the task in a warm sandbox.

    `targets` are the test ids to turn green, `passing` those that must stay so; `seen` maps
    the diffs of all attempts to their runs, so that nothing is tested twice. `rivals` counts the
    small edits that were found to pass the same tests as the one that solves the task and to do
    something else; None where none was looked for.
    """

    session: Session
    policy: Policy
    sandbox: Sandbox
    workspace: Workspace
    brief: Brief
    targets: tuple[str, ...]
    passing: tuple[str, ...]
    settings: Settings
    budget: Budget
    number: int
    temperature: float
    seen: dict[str, TestRun] = field(default_factory=dict)
    round: int = 0
    rivals: int | None = None

    @abstractmethod
    def run(self) -> str | None:
        """Work until the tests pass and return the diff; None when ideas run out.

        Raises BudgetSpent.
        """

    def others(self) -> Iterator[str]:
        """Diffs of the same attempt that solve the task as well, each to be judged before the next.

        Asked for when what `run` returned is refused, and to explore. Raises BudgetSpent.
        """
        return iter(())

    def open_short(self) -> None:
        """Begin a prompt of the attempt's own with the issue and the failures, without the code."""
        for role, text in (("system", self.brief.infill_system), ("user", self.brief.infill_task)):
            message = Message.model_validate({"role": role, "content": text})
            self.session.prompt(message, attempt=self.number, round=None, phase="edit")

    def test(self, diff: str) -> TestRun:
        """Run the targets, and when they pass everything else; what tests write is undone."""
        self.session.emit(Patched(diff=diff, **self.tags("edit")))
        if diff not in self.seen:
            clock = timed()
            run = self.run_tests(self.targets)
            rest = set(self.passing) - run.outcomes.keys()
            if self.solved(run, only_targets=True) and rest:
                run = self.run_tests()
            self.budget.test_seconds += clock()
            self.seen[diff] = run
        run = self.seen[diff]
        self.session.record_tests("candidate", run, **self.tags("test"))
        return run

    def run_tests(self, only: tuple[str, ...] = ()) -> TestRun:
        """Run tests, all or these, and leave the sandbox as it was."""
        left = self.budget.seconds_left
        return self.workspace.test_and_undo(self.sandbox, only, seconds=left)

    def ask(
        self,
        phase: Phase,
        tools: list[Tool[Any]],
        choices: dict[str, list[str]],
        length: int,
        language: str = PYTHON,
    ) -> list[Action]:
        """One completion, stored, as actions; none when it is malformed (and the policy told)."""
        self.budget.check()
        sampling = Sampling(
            temperature=self.temperature,
            top_p=1.0 if self.temperature == 0 else 0.95,
            max_tokens=length,
            seed=self.settings.seed + 1000 * self.number + len(self.session.events),
        )
        policy, edits = answering(self.policy, phase)
        free = edits and policy.calls_tools
        limit = constraint(tools, choices, calls_tools=free, language=language)
        messages = self.session.messages(self.number)
        if free:
            messages = self.fitted(messages, self.policy.context_tokens - length, phase)
        clock = timed()
        completion = policy.sample(messages, 1, sampling, limit, self.progress)[0]
        self.budget.charge(completion.usage, clock())
        self.session.record(completion, sampling, limit, trained=edits, **self.tags(phase))
        try:
            return parse(completion, tools)
        except FormatError as error:
            for call in completion.tool_calls:
                self.reply(call.id, Observation(str(error), ok=False), phase)
            if phase == "edit" and not completion.tool_calls:
                self.say(str(error), phase)
            return []

    def fitted(self, messages: list[Message], room: int, phase: Phase) -> list[Message]:
        """The prompt, without old observations from here on if it does not fit `room` tokens."""
        left_out = superseded(messages, room, self.policy.count_tokens)
        fitting = shortened(messages, left_out)
        if fitting != messages:
            self.session.emit(Shortened(observations=left_out, **self.tags(phase)))
        return fitting

    def act(
        self, action: Action, tools: list[Tool[Any]], phase: Phase, *, teach: bool = True
    ) -> Observation:
        """Carry out an action in the sandbox; `teach` lets the policy see what came of it."""
        tool = next(tool for tool in tools if tool.name == action.tool)
        self.session.emit(
            Acted(
                tool=tool.name,
                arguments=action.arguments,
                call_id=action.call_id,
                **self.tags(phase),
            )
        )
        clock = timed()
        path = str(action.arguments.get("path") or action.arguments.get("symbol") or "")
        if tool in (EDIT_SYMBOL, REPLACE_TEXT, CREATE_FILE) and self.protected(path):
            seen = Observation(f"{path} is protected: change the source, not the tests.", ok=False)
        else:
            seen = tool.call(self.sandbox, action.arguments)
        self.observe(action, seen, phase, clock(), teach=teach)
        return seen

    def observe(
        self,
        action: Action,
        seen: Observation,
        phase: Phase,
        seconds: float = 0.0,
        *,
        teach: bool = True,
    ) -> None:
        """Record an observation; it enters the prompt when the policy needs it."""
        self.session.emit(
            Observed(
                tool=action.tool,
                ok=seen.ok,
                text=seen.text,
                cut=seen.cut,
                seconds=seconds,
                call_id=action.call_id,
                **self.tags(phase),
            )
        )
        if action.call_id:
            self.reply(action.call_id, seen, phase)
        elif not seen.ok and teach:
            self.say(seen.text, phase)

    def reply(self, call_id: str, seen: Observation, phase: Phase) -> None:
        """Answer a tool call in the prompt."""
        message = Message(role="tool", content=seen.text, tool_call_id=call_id)
        self.session.prompt(message, **self.tags(phase))

    def say(self, text: str, phase: Phase) -> None:
        """Add an instruction to the prompt."""
        self.session.prompt(Message(role="user", content=text), **self.tags(phase))

    def protected(self, target: str) -> bool:
        """Whether a path or symbol id lies in a protected file."""
        return is_protected(target.split("::", 1)[0], self.settings.protected)

    def solved(self, run: TestRun, *, only_targets: bool = False) -> bool:
        """Whether the targets pass and (unless `only_targets`) nothing else broke."""
        needed = self.targets if only_targets else (*self.targets, *self.passing)
        return run.complete and all(is_green(run, test) for test in needed)

    def broken(self, run: TestRun) -> list[str]:
        """Tests that passed before and ran without passing now."""
        return [t for t in self.passing if t in run.outcomes and not is_green(run, t)]

    def score(self, run: TestRun) -> int:
        """Targets fixed, minus tests broken."""
        return sum(is_green(run, test) for test in self.targets) - len(self.broken(run))

    def end(self, reason: str, diff: str | None = None) -> str | None:
        """Close the attempt, with its solution if there is one."""
        self.session.emit(AttemptEnded(reason=reason, **self.tags("test")))
        return diff

    def tags(self, phase: Phase) -> dict[str, Any]:
        """Where in the trajectory an event belongs."""
        return {"attempt": self.number, "round": self.round, "phase": phase}

    @property
    def progress(self) -> OnProgress:
        """Hands tokens per second to the view, and stops when the time is up."""
        return self.budget.holding(self.session.progress)
