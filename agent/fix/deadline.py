"""A time limit that holds whatever the main thread is doing."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

from agent.status import BudgetSpent


class Deadline:
    """A context manager that stops the block after so many seconds, as Ctrl-C would.

    Then BudgetSpent is raised at its end. Outside the main thread only `left` tells the time.
    """

    def __init__(self, seconds: float) -> None:
        """The clock starts with the block."""
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._over = False
        self.expired = False

    @property
    def left(self) -> float:
        """Seconds until the end, never negative."""
        return max(0.0, self._end - time.monotonic())

    def __enter__(self) -> Self:
        self._end = time.monotonic() + self._seconds
        self._main = threading.get_ident()
        self._timer: threading.Timer | None = None
        if threading.current_thread() is threading.main_thread():
            self._before: Any = signal.signal(signal.SIGUSR1, _interrupt)
            self._timer = threading.Timer(self._seconds, self._expire)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            try:
                with self._lock:
                    self._over = True
                self._timer.cancel()
            except KeyboardInterrupt:
                if not self.expired:
                    raise
            signal.signal(signal.SIGUSR1, self._before or signal.SIG_DFL)
        if self.expired and (error is None or isinstance(error, KeyboardInterrupt)):
            raise BudgetSpent(f"the time limit of {self._seconds:.0f} s has passed") from error

    def _expire(self) -> None:
        with self._lock:
            if not self._over:
                self.expired = True
                signal.pthread_kill(self._main, signal.SIGUSR1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
