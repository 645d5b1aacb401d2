"""Strangers' texts: an issue as plain text for the agent, and any text within Markdown of ours."""

from __future__ import annotations

import re

from agent.task import clean_issue
from agent.ui.text import printable, without_unseen

MAX_TITLE_CHARACTERS = 300
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)", re.DOTALL)
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]*\]:.*$", re.MULTILINE)
_REFERENCE = re.compile(r"#(?=\d)|\bGH-(?=\d)|https?://|@", re.IGNORECASE)


def issue_text(title: str, body: str | None) -> str:
    """Title and body as the people who read the page see them.

    HTML comments (closed or not), processing instructions, link definitions, and characters that
    are unseen or turn the direction of text are gone; the rest is capped. Raises UsageError when
    nothing is left.
    """
    head = " ".join(_seen(title).split())[:MAX_TITLE_CHARACTERS]
    return clean_issue(f"{head}\n\n{_seen(body or '')}")


def _seen(text: str) -> str:
    """The text without what a page does not show. A blank in its place keeps the rest apart."""
    text = without_unseen(text.replace("\r\n", "\n").replace("\r", "\n"))
    return _DEFINITION.sub("", _HIDDEN.sub(" ", text))


def headline(title: str, most: int = 80) -> str:
    """A title that mentions nobody, closes nothing and links nowhere, on one line."""
    plain = " ".join(_REFERENCE.sub("", _seen(title)).split())
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def fenced(text: str, language: str = "text", most: int = 20_000) -> str:
    """The text as a block of code that it cannot end, cut after `most` characters."""
    shown = printable(text).rstrip("\n")
    if len(shown) > most:
        shown = f"{shown[:most]}\n[... {len(shown) - most} characters cut ...]"
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def code(text: str, most: int = 200) -> str:
    """The text as code within a line."""
    shown = " ".join(printable(text).split())
    shown = shown if len(shown) <= most else f"{shown[: most - 1]}…"
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if shown[:1] == "`" or shown[-1:] == "`" or not shown else ""
    return f"{fence}{space}{shown}{space}{fence}".replace("|", "\\|")
