"""Strangers' texts: an issue as plain text for the agent, and any text within Markdown of ours."""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.task import clean_issue
from agent.ui.text import printable, without_unseen

MAX_TITLE_CHARACTERS = 300
MAX_BODY_CHARACTERS = 70_000
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)", re.DOTALL)
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]*\]:.*$", re.MULTILINE)
# In a block of HTML, a tag that is not closed goes on to the end: so browsers have it.
_TAGS = re.compile(
    r"</?[A-Za-z](?:\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)|[^'\">])*+(?:>|\Z)|<![A-Za-z][^>]*(?:>|\Z)"
)
_ATTRIBUTE = r"\s+[A-Za-z_:][\w.:-]*(?:\s*=\s*(?:[^\s\"'=<>`]+|'[^']*'|\"[^\"]*\"))?"
_TAG = (
    rf"<[A-Za-z][A-Za-z0-9-]*(?:{_ATTRIBUTE})*+\s*/?>|</[A-Za-z][A-Za-z0-9-]*\s*>|<![A-Za-z][^>]*>"
)
_TAGS_IN_TEXT = re.compile(
    rf"(?P<shown>\\<|<[A-Za-z][A-Za-z0-9+.-]+:[^\s<>]*>)|{_HIDDEN.pattern}|{_TAG}", re.DOTALL
)
_CODE = re.compile(r"(?<![`\\])(`++)(?!`)")
_FENCE = re.compile(r"([^`~]*(?:`{3,}|~{3,})[ \t]*[\w+#.-]{0,20}).*")
_REFERENCE = re.compile(r"#(?=\d)|\bGH-(?=\d)|https?://|@", re.IGNORECASE)


def issue_text(title: str, body: str | None) -> str:
    """Title and body as the people who read the page see them.

    HTML comments (closed or not), tags, processing instructions, link definitions, and characters
    that are unseen or turn the direction of text are gone; blocks of code stay; the rest is capped.
    Raises UsageError when nothing is left.
    """
    head = " ".join(_seen(title).split())[:MAX_TITLE_CHARACTERS]
    return clean_issue(f"{head}\n\n{_seen_page(body or '')}")


def _seen(text: str) -> str:
    """A plain text without what is hidden. A blank in its place keeps the rest apart."""
    return _DEFINITION.sub("", _HIDDEN.sub(" ", _plain(text)))


def _plain(text: str) -> str:
    return without_unseen(text.replace("\r\n", "\n").replace("\r", "\n"))


def _seen_page(text: str) -> str:
    """A Markdown text without what its page does not show.

    The parser says which lines are blocks; what is none of them defines links.
    """
    from markdown_it import MarkdownIt

    text = _plain(text[:MAX_BODY_CHARACTERS]).replace("\0", "")
    lines = text.split("\n")
    shown: list[str] = []
    after = 0
    for token in MarkdownIt("commonmark").disable("inline").parse(text):
        if token.map is None or token.type not in _BLOCKS:
            continue
        first, end = token.map
        if first > after:
            shown.append("")
        clean, raw = _BLOCKS[token.type]
        shown.append(clean("\n".join(lines[first:end]) if raw else token.content))
        if not raw:  # the marks of quotes, lists and headings
            start = token.content.partition("\n")[0].rstrip()
            shown[-1] = lines[first][: max(0, lines[first].rfind(start))] + shown[-1]
        after = end
    return "\n".join(shown)


def _fence(block: str) -> str:
    """A fenced block whole, but for what stands behind the name of its language."""
    first, line, rest = block.partition("\n")
    return _FENCE.sub(r"\1", first, count=1) + line + rest


def _indented(block: str) -> str:
    # Within a footnote, which the parser does not know, it would be no code.
    return _HIDDEN.sub(" ", block)


def _html(block: str) -> str:
    return _TAGS.sub(" ", _HIDDEN.sub(" ", block))


def _inline(block: str) -> str:
    """A block of text without tags and comments, but for those in code."""
    parts: list[str] = []
    at = 0
    hidden = _TAGS_IN_TEXT.search(block)
    while at < len(block):
        code_at = _CODE.search(block, at)
        if hidden is not None and hidden.start() < at:
            hidden = _TAGS_IN_TEXT.search(block, at)
        if code_at is None and hidden is None:
            break
        if hidden is None or (code_at is not None and code_at.start() < hidden.start()):
            assert code_at is not None
            ticks = re.compile(rf"(?<!`){code_at[1]}(?!`)")
            closed = ticks.search(block, code_at.end())
            end = closed.end() if closed else code_at.end()
            parts.append(block[at:end])
        else:
            end = hidden.end()
            parts += [block[at : hidden.start()], hidden["shown"] or " "]
        at = end
    return _DEFINITION.sub("", "".join([*parts, block[at:]]))


_BLOCKS: dict[str, tuple[Callable[[str], str], bool]] = {
    "fence": (_fence, True),
    "code_block": (_indented, True),
    "html_block": (_html, False),
    "inline": (_inline, False),
    "hr": (str, True),
}
"""How to clean a kind of block, and whether that takes its lines as they are, with the marks of
the quotes and lists around it."""


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
