"""Worker processes, as seen from the one that leads them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from agent.config import Settings
from agent.status import EnvironmentFailure

START_SECONDS = 1800.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.2
CHUNK = 1 << 16


class WorkerDied(Exception):
    """A worker ended, or was killed because it was late, in the middle of a job."""


class Worker:
    """A process that does the jobs of a module (`agent.workers.inside`). Restarted when it died.

    `store` is the file that it records in, for jobs that run a policy.

    One thread asks; any other may `close` and `stop` it, after which it is not started again.
    """

    def __init__(self, jobs: str, settings: Settings, store: Path | None = None) -> None:
        self.jobs = jobs
        self.settings = settings
        self.store = store
        self.process: subprocess.Popen[bytes] | None = None
        self._closing: float | None = None
        self._lock = threading.Lock()

    def ask(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a job. Raises WorkerDied, EnvironmentFailure when it cannot start."""
        return self._exchange(self.start(), job, seconds)

    def start(self) -> subprocess.Popen[bytes]:
        """Make sure that it runs and has loaded its model.

        Raises EnvironmentFailure, WorkerDied when it is closed.
        """
        if self.process is not None and self.process.poll() is not None:
            self.stop()
        with self._lock:
            if self._closing is not None:
                raise WorkerDied("the run ends")
            if self.process is not None:
                return self.process
            process = self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "agent.workers.inside"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        start = {
            "jobs": self.jobs,
            "settings": self.settings.model_dump(mode="json"),
            "store": str(self.store) if self.store else None,
        }
        try:
            ready = self._exchange(process, start, START_SECONDS)
        except WorkerDied as died:
            raise EnvironmentFailure(f"a worker process does not start: {died}") from died
        if "error" in ready:
            raise EnvironmentFailure(str(ready["error"]))
        return process

    def _exchange(
        self, process: subprocess.Popen[bytes], message: Mapping[str, Any], seconds: float
    ) -> dict[str, Any]:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(_read_line(process, seconds))
        except (OSError, ValueError) as error:
            self.stop()
            raise WorkerDied(f"it ended: {error}") from error
        except BaseException:
            self.stop()
            raise
        return answer

    def close(self) -> None:
        """Ask it to end, so that it takes its sandbox along, and start no other.

        Asks again when called again: an interrupt is lost where it hits a finalizer, since Python
        ignores what these raise.
        """
        with self._lock:
            if self._closing is None:
                self._closing = time.monotonic()
            if self.process is not None:
                self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it: politely, politely again, then by force. Idempotent."""
        with self._lock:
            process, self.process = self.process, None
            asked = self._closing
        if process is None:
            return
        try:
            if asked is None:
                asked = time.monotonic()
                process.send_signal(signal.SIGTERM)
            _close(process.stdin)
            for limit in (asked + STOP_SECONDS / 2, asked + STOP_SECONDS):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, limit - time.monotonic()))
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
        finally:
            process.kill()
            process.wait()
            _close(process.stdout)


def _close(stream: IO[bytes] | None) -> None:
    """Close a pipe; what is left in its buffer has no reader any more."""
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.close()


def _read_line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next line that it prints, within `seconds`. Raises WorkerDied."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    line = bytearray()
    while not line.endswith(b"\n"):
        if time.monotonic() > deadline:
            raise WorkerDied(f"no answer in {seconds:.0f} s")
        if not select.select([process.stdout], [], [], POLL_SECONDS)[0]:
            continue
        read = os.read(process.stdout.fileno(), CHUNK)
        if not read:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            raise WorkerDied(f"it ended with code {process.returncode}")
        line += read
    return bytes(line)
