"""The last word on a run, for people. Programs get a Result (agent/result.py)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from agent.outcome import Outcome
from agent.status import Status
from agent.ui.text import printable


def summarise(console: Console, outcome: Outcome, *, shown_diff: bool) -> None:
    """Print the verdict, the diff (unless the live view showed it), the cost, the trajectory."""
    verdict, budget = outcome.verdict, outcome.budget
    good = outcome.status in (Status.VERIFIED, Status.NOTHING_TO_DO)
    if verdict is not None and verdict.diff and not shown_diff:
        if console.is_terminal:
            console.print(Syntax(printable(verdict.diff), "diff", background_color="default"))
        else:
            console.print(Text(printable(verdict.diff)), soft_wrap=True)
    title = {
        Status.VERIFIED: "Verified fix.",
        Status.NOTHING_TO_DO: "Nothing to do:",
        Status.UNVERIFIED: "Not verified:",
        Status.NOT_SOLVED: "Not solved:",
        Status.INTERRUPTED: "Stopped:",
    }.get(outcome.status, "Error:")
    message = "" if outcome.status is Status.VERIFIED else f" {printable(outcome.message)}"
    console.print(Text(title, style="bold green" if good else "bold red") + Text(message))
    if verdict is not None and outcome.before is not None:
        before, after = outcome.before.outcomes, verdict.after
        console.print(Text(f"  tests    {_tally(before)}  →  {_tally(after)}"))
    if outcome.applied is not None:
        files = printable(", ".join(outcome.applied.files))
        console.print(Text(f"  applied  {printable(outcome.applied.target)}: {files}"))
    elif outcome.status is Status.UNVERIFIED:
        console.print(Text("  applied  nowhere; --apply-unverified applies it all the same"))
    for doubt in outcome.doubts:
        console.print(Text(f"  look at  {printable(doubt)}"))
    if budget is not None and budget.usage.prompt:
        usage = budget.usage
        console.print(
            Text(
                f"  cost     {budget.elapsed:.0f} s (model {budget.model_seconds:.0f} s, tests "
                f"{budget.test_seconds:.0f} s), {usage.prompt - usage.cached} prompt + "
                f"{usage.completion} completion tokens, {usage.cached} from cache, "
                f"{outcome.attempts} attempts"
            )
        )
    console.print(Text(f"  details  agent experience show {outcome.trajectory}"))
    if outcome.hint:
        console.print(Text(f"  next     {printable(outcome.hint)}"))


def _tally(outcomes: Any) -> str:
    tally = Counter(outcomes.values())
    return ", ".join(f"{number} {name}" for name, number in sorted(tally.items())) or "none"
