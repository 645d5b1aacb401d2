"""Tables of text, for a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


def rich_table(title: str, rows: Sequence[Mapping[str, str]], caption: str | None = None) -> Table:
    """Rows of the same headings; numbers stand to the right. Nothing in a cell is markup."""
    shown = Table(title=title, caption=caption, box=SIMPLE_HEAD, collapse_padding=True)
    for heading in rows[0] if rows else ():
        cells = [row[heading].lstrip("–") for row in rows]
        numbers = all(not cell or cell[0].isdigit() for cell in cells)
        shown.add_column(
            heading, justify="right" if numbers else "left", no_wrap=numbers, overflow="fold"
        )
    for row in rows:
        shown.add_row(*map(Text, row.values()))
    return shown


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of the same headings as a table in GitHub's Markdown, with the line end."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(map(_escaped, line))} |\n" for line in lines)


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
