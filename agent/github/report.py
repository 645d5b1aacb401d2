"""What people read on GitHub: a pull request's text, or the comment that says why there is none.

Every text from outside stands in a block of code that it cannot end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.github.artifact import Solved
from agent.github.text import code, fenced, headline
from agent.status import Status

MAX_BODY = 60_000
MAX_DIFF = 30_000
_SHOWN = 20
_MARK = re.compile(r"<!-- apprentice trajectory=([0-9a-z]{26}) run=([0-9]{1,20}) -->")


@dataclass(frozen=True)
class Origin:
    """Where a pull request comes from: a trajectory, and the run whose artifact holds it."""

    trajectory: str
    run: str


def mark(origin: Origin) -> str:
    """The line in a pull request's text that tells its origin to programs."""
    return f"<!-- apprentice trajectory={origin.trajectory} run={origin.run} -->"


def origin_of(body: str | None) -> Origin | None:
    """The origin of a pull request by its text: the last mark in it, None without one."""
    found = _MARK.findall(body or "")
    return Origin(*found[-1]) if found else None


def title_of(number: int, title: str, *, verified: bool) -> str:
    """The title of a pull request for an issue."""
    note = "" if verified else " (not verified)"
    return f"Fix issue {number}{note}: {headline(title)}"


def message_of(number: int, solved: Solved) -> str:
    """The message of the commit; no word of it is a stranger's."""
    how = "Verified" if solved.status is Status.VERIFIED else "Not verified"
    return (
        f"Fix issue {number}\n\n{how} by Apprentice. Fixes #{number}.\n\n"
        f"Apprentice-Trajectory: {solved.trajectory}\n"
    )


def pull_request(solved: Solved, diff: str, notes: Iterable[str], origin: Origin, link: str) -> str:
    """The text of a pull request. `notes` are what a reader should look at; `link` a page."""
    parts = [f"Fixes #{solved.issue}", _verdict(solved)]
    if listed := _list(notes):
        parts += ["**Look at**", listed]
    if solved.plan:
        parts += ["### Plan", fenced(solved.plan, most=4000)]
    parts += ["### Diff", fenced(diff, "diff", most=MAX_DIFF), "### Tests", _tests(solved)]
    parts += ["### Cost", _cost(solved), f"[Trajectory, step by step]({link})"]
    return "\n\n".join(parts)[:MAX_BODY] + f"\n\n{mark(origin)}\n"


def comment(solved: Solved | None, reasons: Iterable[str], link: str) -> str:
    """The comment on an issue for which no pull request is opened."""
    parts = ["Apprentice opens no pull request for this issue:", _list(reasons)]
    if solved is not None:
        if solved.hint:
            parts.append(fenced(solved.hint, most=2000))
        if solved.before:
            parts.append(_tests(solved))
        parts.append(_cost(solved))
    parts.append(f"[The run]({link})")
    return "\n\n".join(parts)[:MAX_BODY] + "\n"


def _verdict(solved: Solved) -> str:
    if solved.status is Status.VERIFIED:
        return (
            "**Verified**: in a fresh sandbox, on a clean copy, the failing tests pass with this "
            "patch and no other test breaks. Verified means by these tests: read the diff."
        )
    return f"**Not verified**: {code(solved.message, 500)}. Read the diff before anything else."


def _tests(solved: Solved) -> str:
    before, after = solved.before, solved.after
    rows = [
        f"| {name} | {before.get(name, 0)} | {after.get(name, 0) if after else '–'} |"
        for name in sorted(before.keys() | after.keys())
    ]
    table = "\n".join(["| tests | before | after |", "|---|---:|---:|", *rows])
    told = "As the solving job reports; the job that wrote this runs no code of the repository."
    fixed, broken = (
        f"{title}: {', '.join(code(name) for name in names[:_SHOWN])}{_more(names)}"
        for title, names in (("Fixed", solved.fixed), ("Broken", solved.broken))
    )
    lines = [table, fixed if solved.fixed else "", broken if solved.broken else "", told]
    return "\n\n".join(line for line in lines if line)


def _cost(solved: Solved) -> str:
    return (
        f"{solved.seconds:.0f} s (model {solved.model_seconds:.0f} s, tests "
        f"{solved.test_seconds:.0f} s), {solved.prompt_tokens} prompt tokens "
        f"({solved.cached_tokens} from cache), {solved.completion_tokens} completion tokens, "
        f"{solved.attempts} attempts, {code(solved.model)}"
    )


def _list(items: Iterable[str]) -> str:
    listed = list(items)
    return "\n".join(f"- {code(item, 500)}" for item in listed[:_SHOWN]) + (
        f"\n- {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    )


def _more(names: Mapping[str, object] | tuple[str, ...]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
