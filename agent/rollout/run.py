"""A rollout: batches drawn by a schedule, each written down as it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from agent.rollout import draw
from agent.rollout.records import Batch, Folder
from agent.rollout.schedule import Draw, Schedule
from agent.tasks.instance import Instance
from agent.workers.pool import in_threads
from agent.workers.process import START_SECONDS, Worker, WorkerDied
from agent.workspace import timed

OnBatch = Callable[[Batch], None]


class Lane:
    """A process that samples. Used by one thread."""

    def __init__(self, folder: Folder, instances: dict[str, Instance], schedule: Schedule) -> None:
        self.folder, self.plan = folder, folder.plan
        self.instances, self.schedule = instances, schedule
        self.sampler = Worker(draw.__name__, self.plan.settings, folder.store)
        self.workers = (self.sampler,)

    def result(self, item: Draw) -> Batch:
        """What comes of a draw. Raises EnvironmentFailure when the worker cannot start."""
        settings = self.plan.settings
        seconds = item.samples * settings.timeout + settings.test_timeout + START_SECONDS
        instance = self.instances[item.instance_id].model_dump(mode="json", by_alias=True)
        job = {
            "do": "draw",
            "batch": item.batch,
            "samples": item.samples,
            "known_places": self.plan.known_places,
        }
        self.sampler.start()
        clock = timed()
        try:
            reply = self.sampler.ask({**job, "instance": instance}, seconds)
        except WorkerDied as died:
            reply = {"error": str(died)}
        if "error" not in reply:
            batch = Batch.model_validate(reply)
            return batch.model_copy(update={"overhead_seconds": clock() - batch.seconds})
        return Batch(
            instance_id=item.instance_id,
            batch=item.batch,
            samples=item.samples,
            error=str(reply["error"]),
        )

    def keep(self, batch: Batch) -> None:
        """Write a batch down, and let the schedule know."""
        self.folder.batches.append(batch)
        drawn = drawn_of(batch)
        if batch.error:
            self.schedule.give_up(drawn)
        else:
            self.schedule.record(drawn, told_by(batch))


def roll_out(
    folder: Folder, instances: Sequence[Instance], *, jobs: int, on_batch: OnBatch
) -> list[Batch]:
    """Every batch, those of an earlier run of the same plan included; failed ones last.

    `on_batch` is called in this thread. Raises AgentError when no worker can start.
    """
    done = folder.done()
    plan = folder.plan
    schedule = Schedule([i.instance_id for i in instances], plan.samples, even=plan.even)
    schedule.resume((drawn_of(batch), told_by(batch)) for batch in done)
    for batch in done:
        on_batch(batch)
    failed: list[Batch] = []
    by_id = {instance.instance_id: instance for instance in instances}
    lanes = [Lane(folder, by_id, schedule) for _ in range(jobs)]
    with closing(in_threads(lanes, schedule.next)) as batches:
        for batch in batches:
            (failed if batch.error else done).append(batch)
            on_batch(batch)
    return [*done, *failed]


def told_by(batch: Batch) -> tuple[bool, ...]:
    """What a batch tells of its task's pass rate: its answers at a known place, else attempts.

    Groups are of these answers: an attempt has eight, and is solved when any of them is right.
    """
    return batch.right or batch.solved


def drawn_of(batch: Batch) -> Draw:
    """The draw that a batch is of."""
    return Draw(batch.instance_id, batch.batch, batch.samples)
