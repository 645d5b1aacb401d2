"""Progress of long counted work: a bar in a terminal, else a line for each change worth one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnCount = Callable[[int, int, str], None]


@contextmanager
def count_bar(label: str, *, silent: bool = False) -> Iterator[OnCount]:
    """A callback (done, in all, note); the note is shown behind the count."""
    if silent:
        yield lambda *_: None
    elif not sys.stderr.isatty():
        yield _lines(label)
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        text = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
        columns = (text[0], BarColumn(), MofNCompleteColumn(), Elapsed(), text[1])
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(escape(label), total=None, note="")
            yield lambda done, total, note: bar.update(
                task, completed=done, total=total, note=escape(note)
            )


def _lines(label: str) -> OnCount:
    last = -1

    def show(done: int, total: int, note: str) -> None:
        nonlocal last
        if done != last:
            last = done
            print(f"{label}: {done} of {total} {note}".rstrip(), file=sys.stderr, flush=True)

    return show
