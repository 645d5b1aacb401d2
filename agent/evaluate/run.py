"""An evaluation: every sample of every task predicted, scored, and written down as it ends."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing

from agent.evaluate.lane import Item, Lane
from agent.evaluate.processes import POLL_SECONDS, STOP_SECONDS
from agent.evaluate.records import Folder
from agent.evaluate.results import Result
from agent.evaluate.sample import Prediction
from agent.tasks.instance import Instance

OnResult = Callable[[Result], None]
_Waiting = queue.SimpleQueue[Item | None]
_Ended = queue.SimpleQueue[Result | BaseException | None]


def evaluate(
    folder: Folder,
    instances: Sequence[Instance],
    given: Mapping[tuple[str, int], Prediction] | None,
    *,
    jobs: int,
    on_result: OnResult,
) -> list[Result]:
    """Every result, those of an earlier run of the same plan included.

    `given` predictions are one for each sample of each task; None: the agent makes them.
    `on_result` is called in this thread. Raises AgentError when no worker can start.
    """
    done = {k: row for k, row in folder.results().items() if row.resolved is not None}
    made = dict(given or {})
    made |= {(row.instance_id, row.sample): row for row in folder.samples.rows()}
    items = [Item(i, sample) for sample in range(folder.plan.samples) for i in instances]
    todo = [item for item in items if item.key not in done]
    for item in items:
        if item.key in done:
            on_result(done[item.key])
    with closing(_in_threads(folder, todo, made, jobs)) as results:
        for result in results:
            done[result.instance_id, result.sample] = result
            on_result(result)
    return [done[item.key] for item in items]


def _in_threads(
    folder: Folder, todo: Iterable[Item], made: Mapping[tuple[str, int], Prediction], jobs: int
) -> Generator[Result, None, None]:
    """Results as they come, from `jobs` threads with worker processes of their own."""
    waiting: _Waiting = queue.SimpleQueue()
    ended: _Ended = queue.SimpleQueue()
    for item in todo:
        waiting.put(item)
    stopping = threading.Event()
    with ExitStack() as stack:
        lanes = [Lane(folder, made) for _ in range(jobs)]
        workers = [worker for lane in lanes for worker in (lane.sampler, lane.scorer)]
        for worker in workers:
            stack.callback(worker.stop)
        threads = [
            threading.Thread(target=_work, args=(lane, waiting, ended, stopping), daemon=True)
            for lane in lanes
        ]
        try:
            for thread in threads:
                waiting.put(None)
                thread.start()
            yield from _until_ended(ended, len(threads))
        finally:
            stopping.set()
            for worker in workers:
                worker.close()
            deadline = time.monotonic() + STOP_SECONDS
            for thread in threads:
                if thread.is_alive():
                    thread.join(max(0.0, deadline - time.monotonic()))


def _until_ended(ended: _Ended, running: int) -> Generator[Result, None, None]:
    """What `running` threads have to say. Raises what one of them raised."""
    while running:
        try:
            result = ended.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
        if isinstance(result, BaseException):
            raise result
        if result is None:
            running -= 1
        else:
            yield result


def _work(lane: Lane, waiting: _Waiting, ended: _Ended, stopping: threading.Event) -> None:
    """Items until there is none. What comes of one while the run stops is not written down."""
    try:
        while not stopping.is_set() and (item := waiting.get()) is not None:
            result = lane.result(item)
            if stopping.is_set():
                return
            lane.folder.scores.append(result)
            ended.put(result)
        ended.put(None)
    except BaseException as error:
        ended.put(error)
