"""The progress bar of a download."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnBytes = Callable[[int, int, str], None]


@contextmanager
def download_bar() -> Iterator[OnBytes]:
    """A callback (bytes done, bytes in all, source); a bar in a terminal, a line per 10 % else."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    with Progress(
        *Progress.get_default_columns(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("model", total=None)

        def show(done: int, total: int, source: str) -> None:
            bar.update(task, completed=done, total=total, description=source)

        yield show


def _lines() -> OnBytes:
    last = -1

    def show(done: int, total: int, source: str) -> None:
        nonlocal last
        tenth = done * 10 // total if total else 0
        if tenth != last:
            last = tenth
            print(
                f"{source}: {done / 1e6:.0f} of {total / 1e6:.0f} MB", file=sys.stderr, flush=True
            )

    return show
