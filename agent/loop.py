"""The loop: plan → edit → test → critique → revise, for one attempt.

Small models are led: each phase admits one kind of action, held to its form by a grammar.
Models that call tools move freely inside the edit phase. The events are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.actions import Action, FormatError, constraint, form, parse
from agent.config import Settings
from agent.context.brief import Brief, views
from agent.context.prompts import render
from agent.session import Session
from agent.task import Budget
from agent.thoughts import CRITIQUE, PLAN, SUBMIT
from agent.verify.outcomes import is_green
from agent.verify.protected import is_protected
from agent.workspace import Workspace, timed
from policies.base import Message, Policy, Progress, Sampling
from policies.experience.events import Acted, AttemptEnded, Observed, Patched, Phase, Tested
from tools.base import Observation, Tool, capped
from tools.edit import CREATE_FILE, EDIT_SYMBOL, REPLACE_TEXT
from tools.files import LIST_FILES, READ_FILE, SEARCH
from tools.sandbox.base import Sandbox
from tools.shell import SHELL
from tools.testing.results import TestRun

FREE_TOOLS = (READ_FILE, SEARCH, LIST_FILES, EDIT_SYMBOL, REPLACE_TEXT, CREATE_FILE, SHELL, SUBMIT)
MISTAKES_PER_ROUND = 1
PLAN_TOKENS = 160
DIFF_CHARACTERS = 2000


@dataclass
class Loop:
    """One attempt at the task in a warm sandbox.

    `targets` are the test ids to turn green, `passing` those that must stay so; `seen` maps
    the diffs of all attempts to their runs, so that nothing is tested twice.
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

    def run(self) -> str | None:
        """Work until the tests pass and return the diff; None when rounds or ideas run out.

        Raises BudgetSpent.
        """
        base = best = self.sandbox.snapshot()
        best_score = 0
        diffs: list[str] = []
        symbol = self.plan()
        for self.round in range(self.settings.rounds):
            self.edit(symbol)
            diff = self.sandbox.diff(base)
            if not diff:
                return self.end("nothing was changed")
            if diff in diffs:
                return self.end("stuck: the same patch again")
            diffs.append(diff)
            run = self.test(diff)
            if self.solved(run):
                return self.end("solved", diff)
            if self.round + 1 == self.settings.rounds:
                break
            kept = self.policy.calls_tools or self.score(run) > best_score
            if kept:
                best, best_score = self.sandbox.snapshot(), self.score(run)
            else:
                self.sandbox.restore(best)
            symbol = self.critique(symbol, run, diff, kept=kept)
        return self.end("the rounds are used up")

    def plan(self) -> str:
        """Ask for the cause and the symbol to change."""
        self.say(render("plan", form=form(PLAN)), "plan")
        return self.chosen_symbol(self.ask("plan", [PLAN], self.symbols(), PLAN_TOKENS), "plan")

    def edit(self, symbol: str) -> None:
        """Let the policy change the code: one action of a small model, many of a strong one."""
        free = self.policy.calls_tools
        tools: list[Tool[Any]] = list(FREE_TOOLS) if free else [EDIT_SYMBOL]
        choices = {} if free else {"symbol": [symbol]}
        source = self.brief.sources.get(symbol, "")
        length = self.settings.context_tokens // 4 if free else 200 + len(source) // 2
        text = render("edit", symbol=symbol, form=form(EDIT_SYMBOL), calls_tools=free)
        self.say(text, "edit")
        mistakes = 0
        for _ in range(self.settings.actions_per_round if free else 1 + MISTAKES_PER_ROUND):
            actions = self.ask("edit", tools, choices, length)
            ok = bool(actions) and all([self.act(action, tools, "edit").ok for action in actions])
            if ok and (not free or any(action.tool == SUBMIT.name for action in actions)):
                return
            mistakes = 0 if ok else mistakes + 1
            if mistakes > MISTAKES_PER_ROUND:
                return

    def test(self, diff: str) -> TestRun:
        """Run the targets, and when they pass everything else."""
        self.session.emit(Patched(diff=diff, **self.tags("edit")))
        if diff not in self.seen:
            clock = timed()
            run = self.workspace.test(self.sandbox, self.targets)
            if self.solved(run, only_targets=True) and self.passing:
                run = self.workspace.test(self.sandbox)
            self.budget.test_seconds += clock()
            self.seen[diff] = run
        run = self.seen[diff]
        self.session.emit(
            Tested(
                label="candidate",
                outcomes=dict(run.outcomes),
                exit_code=run.exit_code,
                killed_by=run.killed_by,
                complete=run.complete,
                seconds=run.seconds,
                output=run.output,
                **self.tags("test"),
            )
        )
        return run

    def critique(self, symbol: str, run: TestRun, diff: str, *, kept: bool) -> str:
        """Show the policy its patch and the failures; ask what is wrong and what to change next."""
        failures = views(run, [*self.targets, *self.broken(run)])
        text = render(
            "critique",
            kept=kept,
            diff=capped(diff, DIFF_CHARACTERS)[0],
            failures=failures[:2],
            form=form(CRITIQUE),
        )
        self.say(text, "critique")
        actions = self.ask("critique", [CRITIQUE], self.symbols(), PLAN_TOKENS)
        return self.chosen_symbol(actions, "critique", symbol)

    def ask(
        self, phase: Phase, tools: list[Tool[Any]], choices: dict[str, list[str]], length: int
    ) -> list[Action]:
        """One completion, stored, as actions; none when it is malformed (and the policy told)."""
        self.budget.check()
        sampling = Sampling(
            temperature=self.temperature,
            top_p=1.0 if self.temperature == 0 else 0.95,
            max_tokens=length,
            seed=self.settings.seed + 1000 * self.number + len(self.session.events),
        )
        limit = constraint(tools, choices, calls_tools=self.policy.calls_tools)
        messages = self.session.messages(self.number)
        clock = timed()
        completion = self.policy.sample(messages, 1, sampling, limit, self.progress)[0]
        self.budget.charge(completion.usage, clock())
        self.session.record(completion, sampling, limit, **self.tags(phase))
        try:
            return parse(completion, tools)
        except FormatError as error:
            for call in completion.tool_calls:
                self.reply(call.id, call.name, Observation(str(error), ok=False), phase)
            if phase == "edit" and not completion.tool_calls:
                self.say(str(error), phase)
            return []

    def act(self, action: Action, tools: list[Tool[Any]], phase: Phase) -> Observation:
        """Carry out an action in the sandbox and let the policy see what came of it."""
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
        self.observe(action, seen, phase, clock())
        return seen

    def observe(
        self, action: Action, seen: Observation, phase: Phase, seconds: float = 0.0
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
            self.reply(action.call_id, action.tool, seen, phase)
        elif not seen.ok:
            self.say(seen.text, phase)

    def reply(self, call_id: str, tool: str, seen: Observation, phase: Phase) -> None:
        """Answer a tool call in the prompt."""
        message = Message(role="tool", content=seen.text, tool_call_id=call_id)
        self.session.prompt(message, **self.tags(phase))

    def say(self, text: str, phase: Phase) -> None:
        """Add an instruction to the prompt."""
        self.session.prompt(Message(role="user", content=text), **self.tags(phase))

    def chosen_symbol(self, actions: list[Action], phase: Phase, default: str = "") -> str:
        """The symbol that the policy names, else the default, else the best suspect."""
        known = self.symbols()["symbol"]
        named = [str(action.arguments.get("symbol", "")) for action in actions]
        for action in actions:
            if action.call_id:
                self.observe(action, Observation("noted"), phase)
        return next((n for n in named if n in known), default or next(iter(known), ""))

    def symbols(self) -> dict[str, list[str]]:
        """The symbols that the policy may choose from."""
        return {"symbol": list(self.brief.sources)}

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

    def progress(self, progress: Progress) -> None:
        """Hand tokens per second to the view, and stop when the time is up."""
        self.session.progress(progress)
        self.budget.check()
