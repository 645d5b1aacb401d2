"""Runs inside the sandbox: work in forked processes, which find everything loaded.

Standalone, standard library only, Python 3.8 and later. Work is a function that gets `answer`, to
be called with records of plain data. Code under test can answer what it likes, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Work = Callable[[Callable[[dict[str, Any]], None]], object]


class Child:
    """A forked process with the pipe that it answers on, a folder for its files and a deadline."""

    def __init__(self, number: int, pid: int, fd: int, limit: float, folder: str) -> None:
        self.number, self.pid, self.fd, self.folder = number, pid, fd, folder
        self.deadline = time.monotonic() + limit
        self.data = b""

    @property
    def records(self) -> list[dict[str, Any]]:
        """The whole records that it has answered with."""
        found = []
        for line in self.data.split(b"\n")[:-1]:
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and not {"t", "kind"} & set(record):
                    found.append(record)
        return found

    def end(self) -> None:
        """Kill it with all that it started."""
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self.fd)
        shutil.rmtree(self.folder, ignore_errors=True)


def fork(number: int, work: Work, limit: float) -> Child:
    """Start a child that does some work, for at most `limit` seconds."""
    reading, writing = os.pipe()
    folder = tempfile.mkdtemp(prefix="screen-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid:
        os.close(writing)
        return Child(number, pid, reading, limit, folder)
    try:
        os.setpgid(0, 0)
        os.close(reading)
        tempfile.tempdir = os.environ["TMPDIR"] = folder

        def answer(record: dict[str, Any]) -> None:
            os.write(writing, json.dumps(record).encode() + b"\n")

        work(answer)
    finally:
        os._exit(0)


def ended(children: Sequence[Child]) -> list[Child]:
    """The children that have ended, or were ended because their time was up; waits a little."""
    if not children:
        return []
    now = time.monotonic()
    patience = max(0.0, min(child.deadline for child in children) - now)
    ready, _, _ = select.select([c.fd for c in children], [], [], min(patience, 0.5))
    found = []
    for child in children:
        if child.fd in ready:
            data = os.read(child.fd, 1 << 16)
            child.data += data
            if data:
                continue
        elif time.monotonic() < child.deadline:
            continue
        child.end()
        found.append(child)
    return found


def alone(work: Work, limit: float) -> list[dict[str, Any]]:
    """What a child answers that works while no other does."""
    child = fork(0, work, limit)
    while not ended([child]):
        pass
    return child.records
