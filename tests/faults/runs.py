"""`agent solve` as a process whose surroundings are taken away while it works."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from policies.experience.events import Event
from policies.experience.store import Store
from tests.agent import shop

SECONDS = 120.0


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and bytes (or a link's target) of every file, git's own included."""
    return {
        path.relative_to(root).as_posix(): (
            path.lstat().st_mode,
            os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes(),
        )
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def last_run() -> tuple[str, list[Event]]:
    """Status and events of the latest trajectory."""
    with Store.open() as store:
        name = store.resolve("last")
        return store.status(name), list(store.events(name))


class Run:
    """A started `agent solve`, and the lines that it shows."""

    def __init__(self, repo: Path, model: str, *more: str, sandbox: str, **env: str) -> None:
        words = [sys.executable, "-m", "agent", "solve", shop.ISSUE, "--repo", str(repo)]
        words += ["--model", model, "--sandbox", sandbox, "--env", sys.prefix, *more]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self._add(line)
        self._add("")

    def _add(self, line: str) -> None:
        with self._news:
            self.lines.append(line)
            self._news.notify_all()

    def wait_for(self, start: str) -> None:
        """Wait until a line that begins so is shown. Raises AssertionError at the end."""

        def shown() -> bool:
            return any(line.startswith(start) or not line for line in self.lines)

        with self._news:
            assert self._news.wait_for(shown, SECONDS), self.lines
        assert self.lines[-1], self.text

    def end(self) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait(SECONDS)
        self._reader.join()
        return code

    @property
    def text(self) -> str:
        """All that it has shown."""
        return "".join(self.lines)

    def children(self, name: str) -> list[psutil.Process]:
        """Its processes of this name, the oldest first."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in found if child.name() == name]
