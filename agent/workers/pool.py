"""Lanes in threads of their own: each takes an item, has its processes work on it, keeps what comes
of it, and takes the next."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from typing import Protocol, TypeVar

from agent.workers.process import POLL_SECONDS, STOP_SECONDS, Worker

Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result")


class Lane(Protocol[Item, Result]):
    """Processes that one thread uses."""

    @property
    def workers(self) -> Sequence[Worker]:
        """The processes."""
        ...

    def result(self, item: Item) -> Result:
        """What comes of an item. Raises EnvironmentFailure when a worker cannot start."""
        ...

    def keep(self, result: Result) -> None:
        """Write a result down."""
        ...


def in_threads(
    lanes: Sequence[Lane[Item, Result]], take: Callable[[], Item | None]
) -> Generator[Result, None, None]:
    """Results as they come, until `take` gives None to every lane.

    `take` is called in many threads. What comes of an item while the run stops is not kept. Raises
    what a lane raises.
    """
    ended: queue.SimpleQueue[tuple[Result] | BaseException | None] = queue.SimpleQueue()
    stopping = threading.Event()

    def work(lane: Lane[Item, Result]) -> None:
        try:
            while not stopping.is_set() and (item := take()) is not None:
                result = lane.result(item)
                if stopping.is_set():
                    return
                lane.keep(result)
                ended.put((result,))
            ended.put(None)
        except BaseException as error:
            ended.put(error)

    with ExitStack() as stack:
        workers = [worker for lane in lanes for worker in lane.workers]
        for worker in workers:
            stack.callback(worker.stop)
        threads = [threading.Thread(target=work, args=(lane,), daemon=True) for lane in lanes]
        try:
            for thread in threads:
                thread.start()
            yield from _until_ended(ended, len(threads))
        finally:
            stopping.set()
            begun = time.monotonic()
            for worker in workers:
                worker.close()
            _join(threads, begun + STOP_SECONDS / 2)
            for lane, thread in zip(lanes, threads, strict=True):
                for worker in lane.workers if thread.is_alive() else ():
                    worker.close()
            _join(threads, begun + STOP_SECONDS)


def _join(threads: Sequence[threading.Thread], deadline: float) -> None:
    """Wait for the threads that have begun, no longer than until the deadline."""
    for thread in threads:
        if thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))


def _until_ended(
    ended: queue.SimpleQueue[tuple[Result] | BaseException | None], running: int
) -> Generator[Result, None, None]:
    """What `running` threads have to say. Raises what one of them raised."""
    while running:
        try:
            told = ended.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
        if isinstance(told, BaseException):
            raise told
        if told is None:
            running -= 1
        else:
            yield told[0]
