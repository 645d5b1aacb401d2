"""An evaluation: every sample of every task predicted, scored, and written down as it ends."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from agent.evaluate.lane import Item, Lane
from agent.evaluate.records import Folder
from agent.evaluate.results import Result
from agent.evaluate.sample import Prediction
from agent.tasks.instance import Instance
from agent.workers.pool import in_threads

OnResult = Callable[[Result], None]


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
    # One task after the other: its samples share their prompt, which the engine then keeps.
    items = [Item(i, sample) for i in instances for sample in range(folder.plan.samples)]
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    for item in items:
        if item.key in done:
            on_result(done[item.key])
        else:
            waiting.put(item)

    def take() -> Item | None:
        try:
            return waiting.get_nowait()
        except queue.Empty:
            return None

    lanes = [Lane(folder, made) for _ in range(jobs)]
    with closing(in_threads(lanes, take)) as results:
        for result in results:
            done[result.instance_id, result.sample] = result
            on_result(result)
    return [done[item.key] for item in items]
