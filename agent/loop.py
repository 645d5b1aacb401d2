"""The loop: plan → edit → test → critique → revise, for one attempt.

Small models are led: each phase admits one kind of action, held to its form by a grammar.
Models that call tools move freely inside the edit phase. The events are the same.
"""

from __future__ import annotations

from typing import Any

from agent.actions import Action, form
from agent.attempt import Attempt
from agent.context.brief import views
from agent.context.prompts import render
from agent.testing import tests_tool
from agent.thoughts import CRITIQUE, PLAN, SUBMIT
from policies.experience.events import Phase
from tools.base import Observation, Tool, capped
from tools.edit import CREATE_FILE, EDIT_SYMBOL, REPLACE_TEXT
from tools.files import LIST_FILES, READ_FILE, SEARCH
from tools.git import GIT_DIFF, GIT_LOG, blame_tool
from tools.languages import name_of
from tools.shell import SHELL
from tools.testing.results import TestRun

FREE_TOOLS = (
    READ_FILE, SEARCH, LIST_FILES, EDIT_SYMBOL, REPLACE_TEXT, CREATE_FILE, SHELL, GIT_DIFF, GIT_LOG,
    SUBMIT,
)  # fmt: skip
MISTAKES_PER_ROUND = 1
PLAN_TOKENS = 160
FREE_TOKENS = 2048
DIFF_CHARACTERS = 2000


class Loop(Attempt):
    """An attempt by conversation."""

    def run(self) -> str | None:
        """Work until the tests pass and return the diff; None when rounds or ideas run out.

        What tests write is no part of it. Raises BudgetSpent.
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
            made = self.sandbox.snapshot()
            run = self.test(diff)
            if self.solved(run):
                return self.end("solved", diff)
            if self.round + 1 == self.settings.rounds:
                break
            kept = self.policy.calls_tools or self.score(run) > best_score
            if kept:
                best, best_score = made, self.score(run)
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
        tools: list[Tool[Any]] = self.free_tools() if free else [EDIT_SYMBOL]
        choices = {} if free else {"symbol": [symbol]}
        source = self.brief.sources.get(symbol, "")
        most = min(FREE_TOKENS, self.policy.context_tokens // 4)
        length = most if free else 200 + len(source) // 2
        language = name_of(symbol.split("::", 1)[0])
        text = render("edit", symbol=symbol, form=form(EDIT_SYMBOL, language), calls_tools=free)
        self.say(text, "edit")
        mistakes = 0
        for _ in range(self.settings.actions_per_round if free else 1 + MISTAKES_PER_ROUND):
            actions = self.ask("edit", tools, choices, length, language)
            ok = bool(actions) and all([self.act(action, tools, "edit").ok for action in actions])
            if ok and (not free or any(action.tool == SUBMIT.name for action in actions)):
                return
            mistakes = 0 if ok else mistakes + 1
            if mistakes > MISTAKES_PER_ROUND:
                return

    def free_tools(self) -> list[Tool[Any]]:
        """What a policy that calls tools may do."""
        root = self.workspace.spec.root
        own: list[Tool[Any]] = [tests_tool(self.workspace, self.budget)]
        return [*FREE_TOOLS, *own, *([blame_tool(root)] if root else [])]

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
