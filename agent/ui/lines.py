"""One line per event, for terminals and logs alike."""

from __future__ import annotations

from collections import Counter

from agent.ui.text import printable
from policies.base import Progress
from policies.experience.events import (
    Applied,
    AttemptEnded,
    Event,
    Judged,
    Located,
    Observed,
    Patched,
    Prepared,
    Sampled,
    Screened,
    Shortened,
    TaskStarted,
    Tested,
)


def line(event: Event | Progress) -> str:
    """A short plain line about an event; empty when there is nothing to say."""
    match event:
        case TaskStarted():
            dirty = " with uncommitted work" if event.dirty else ""
            place = printable(f"{event.repository} @ {event.base_commit[:10]}")
            return f"task      {place}{dirty}"
        case Prepared():
            command = printable(" ".join(event.test_command))
            return f"sandbox   {event.sandbox}, {event.files} files, tests: {command}"
        case Tested():
            return f"tests     {event.label}: {counts(event)} in {event.seconds:.1f} s"
        case Screened():
            return f"edits     {event.tried} tried, {event.clean} pass, in {event.seconds:.1f} s"
        case Shortened():
            return f"shortened the oldest {event.observations} observations leave the prompt"
        case Located(symbols=symbols):
            names = ", ".join(f"{printable(name)} ({score:.2f})" for name, score in symbols[:3])
            unsure = ", by the words of the issue alone" if event.on == "words" else ""
            return f"suspects  {names or 'none'}{unsure}"
        case Sampled():
            speed = event.usage.completion / event.seconds if event.seconds else 0.0
            head = printable(" ".join(event.text.split()))[:90]
            return (
                f"{event.phase or 'sample':<9} {head} [{event.usage.completion} tok, {speed:.0f}/s]"
            )
        case Observed(ok=False):
            return f"mistake   {printable(event.text.splitlines()[0] if event.text else '')[:100]}"
        case Patched(diff=diff):
            changed = sum(row.startswith(("+", "-")) for row in diff.splitlines())
            changed -= sum(row.startswith(("+++", "---")) for row in diff.splitlines())
            return f"patch     {changed} changed lines"
        case AttemptEnded():
            return f"attempt {event.attempt}: {printable(event.reason)}"
        case Judged():
            reasons = printable("; ".join(event.reasons))
            return "verdict   verified" if event.verified else f"verdict   not verified: {reasons}"
        case Applied():
            return f"applied   {printable(event.target)}: {printable(', '.join(event.files))}"
        case _:
            return ""


def counts(event: Tested) -> str:
    """`3 passed, 1 failed`, and what ended the run early."""
    tally: Counter[str] = Counter(event.outcomes.values())
    order = ("passed", "failed", "error", "hung", "skipped", "xfailed", "xpassed")
    text = ", ".join(f"{tally[name]} {name}" for name in order if tally[name]) or "no results"
    return f"{text} (stopped: {event.killed_by})" if event.killed_by else text
