"""Worker processes of an evaluation, as seen from the one that leads it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.config import Settings
from agent.status import EnvironmentFailure

START_SECONDS = 1800.0
STOP_SECONDS = 20.0


class WorkerDied(Exception):
    """A worker ended, or was killed because it was late, in the middle of a job."""


class Worker:
    """A process that samples (with a `store`) or scores (without). Restarted when it has died."""

    def __init__(self, settings: Settings, store: Path | None) -> None:
        self.settings = settings
        self.store = store
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a job. Raises WorkerDied, EnvironmentFailure when it cannot start."""
        self.start()
        return self._exchange(job, seconds)

    def start(self) -> None:
        """Make sure that it runs and has loaded its model. Raises EnvironmentFailure."""
        if self.process is not None and self.process.poll() is None:
            return
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent.evaluate.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd=os.sep,
        )
        start = {
            "settings": self.settings.model_dump(mode="json"),
            "store": str(self.store) if self.store else None,
        }
        try:
            ready = self._exchange(start, START_SECONDS)
        except WorkerDied as died:
            raise EnvironmentFailure(
                f"a process of the evaluation does not start: {died}"
            ) from died
        if "error" in ready:
            raise EnvironmentFailure(str(ready["error"]))

    def _exchange(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        deadline = time.monotonic() + seconds
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            while not select.select([process.stdout], [], [], 0.2)[0]:
                if time.monotonic() > deadline:
                    raise WorkerDied(f"no answer in {seconds:.0f} s")
            line = process.stdout.readline()
        except OSError as error:
            self.stop()
            raise WorkerDied(f"it ended: {error}") from error
        except BaseException:
            self.stop()
            raise
        if not line:
            code = process.wait()
            self.stop()
            raise WorkerDied(f"it ended with code {code}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End it: politely, so that it takes its sandbox along, then by force. Idempotent."""
        process, self.process = self.process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
