"""The progress of a download: a bar in a terminal, else a line for each tenth."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnBytes = Callable[[int, int, str], None]


@contextmanager
def download_bar(*, silent: bool = False) -> Iterator[OnBytes]:
    """A callback (bytes done, bytes in all, source) that shows nothing until it is called."""
    if silent:
        yield lambda *_: None
    elif not sys.stderr.isatty():
        yield tenths(lambda text: print(text, file=sys.stderr, flush=True))
    else:
        with _bar() as show:
            yield show


@contextmanager
def _bar() -> Iterator[OnBytes]:
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TaskID, TransferSpeedColumn

    bar = Progress(
        *Progress.get_default_columns(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    )
    task: TaskID | None = None

    def show(done: int, total: int, source: str) -> None:
        nonlocal task
        if task is None:
            bar.start()
            task = bar.add_task(source, total=total)
        bar.update(task, completed=done, total=total, description=source)

    try:
        yield show
    finally:
        bar.stop()


def tenths(say: Callable[[str], None]) -> OnBytes:
    """A callback that says a line for each tenth."""
    last = -1

    def show(done: int, total: int, source: str) -> None:
        nonlocal last
        tenth = done * 10 // total if total else 0
        if tenth != last:
            last = tenth
            say(f"{source}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return show
