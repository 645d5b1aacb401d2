"""An evaluation: every sample of every task predicted, scored, and written down as it ends."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from agent.evaluate.processes import Worker, WorkerDied
from agent.evaluate.records import RESULTS, SAMPLES, Folder, Plan
from agent.evaluate.results import Failure, Result
from agent.evaluate.sample import Prediction
from agent.evaluate.score import Score
from agent.status import Status
from agent.tasks.instance import Instance
from agent.workspace import timed

GRACE_SECONDS = 300.0
POLL_SECONDS = 0.2
STORE = "experience.db"
OnResult = Callable[[Result], None]


@dataclass(frozen=True)
class Item:
    """One sample of one task."""

    instance: Instance
    sample: int

    @property
    def key(self) -> tuple[str, int]:
        """What results are found by."""
        return self.instance.instance_id, self.sample


def evaluate(
    folder: Folder,
    instances: Sequence[Instance],
    given: Mapping[tuple[str, int], Prediction] | None,
    *,
    jobs: int,
    on_result: OnResult,
) -> list[Result]:
    """Every result, those of an earlier run of the same plan included.

    `given` predictions (None: the agent makes them) are scored, empty ones too. `on_result` is
    called in this thread. Raises AgentError when no worker can start.
    """
    plan = folder.plan
    done = {k: row for k, row in folder.results().items() if row.resolved is not None}
    made = dict(given or {})
    made |= {(row.instance_id, row.sample): row for row in folder.rows(SAMPLES, Prediction)}
    items = [Item(i, sample) for sample in range(plan.samples) for i in instances]
    if given is not None:
        items = [item for item in items if item.key in given]
    todo = [item for item in items if item.key not in done]
    for item in items:
        if item.key in done:
            on_result(done[item.key])
    for result in _in_threads(folder, todo, made, given is not None, jobs):
        done[result.instance_id, result.sample] = result
        on_result(result)
    return [done[item.key] for item in items]


def _in_threads(
    folder: Folder,
    todo: Iterable[Item],
    made: Mapping[tuple[str, int], Prediction],
    only_score: bool,
    jobs: int,
) -> Iterable[Result]:
    """Results as they come, from `jobs` threads with worker processes of their own."""
    waiting: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
    ended: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
    for item in todo:
        waiting.put(item)
    with ExitStack() as stack:
        stopping = threading.Event()
        lanes = [_Lane(folder, made, only_score, stopping, stack) for _ in range(jobs)]
        for _ in lanes:
            waiting.put(None)
        threads = [
            threading.Thread(target=lane.work, args=(waiting, ended), daemon=True) for lane in lanes
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
        try:
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
        finally:
            stopping.set()


class _Lane:
    """One of the threads: a process that samples, and another that scores."""

    def __init__(
        self,
        folder: Folder,
        made: Mapping[tuple[str, int], Prediction],
        only_score: bool,
        stopping: threading.Event,
        stack: ExitStack,
    ) -> None:
        self.folder, self.plan, self.made, self.only_score = folder, folder.plan, made, only_score
        self.stopping = stopping
        store = folder.path / STORE
        self.sampler = stack.enter_context(Worker(self.plan.settings, store))
        self.scorer = stack.enter_context(Worker(self.plan.settings, None))

    def work(
        self,
        waiting: queue.SimpleQueue[Item | None],
        ended: queue.SimpleQueue[Result | BaseException | None],
    ) -> None:
        try:
            while (item := waiting.get()) is not None:
                result = self.result(item)
                if self.stopping.is_set():
                    return
                self.folder.append(RESULTS, result)
                ended.put(result)
            ended.put(None)
        except BaseException as error:
            ended.put(error)

    def result(self, item: Item) -> Result:
        self.scorer.start()
        prediction = self.made.get(item.key)
        clock, took = timed(), 0.0
        if prediction is None:
            self.sampler.start()
            clock = timed()
            try:
                prediction = self.predict(item)
            except WorkerDied as died:
                return self.unscored(item, Failure.CRASHED, str(died), resolved=False)
            except _RowError as error:
                return self.unscored(item, Failure.ENVIRONMENT, str(error))
            if not self.stopping.is_set():
                self.folder.append(SAMPLES, prediction)
            took = prediction.seconds
        if prediction.status is Status.ENVIRONMENT:
            return self.unscored(item, Failure.ENVIRONMENT, prediction.message)
        if not prediction.patch and not self.only_score:
            score = Score(resolved=False, reason=prediction.message)
        else:
            job = {"instance": _row(item.instance), "patch": prediction.patch}
            try:
                score = Score.model_validate(self.answer(self.scorer, job, GRACE_SECONDS))
            except WorkerDied as died:
                return self.unscored(item, Failure.CRASHED, f"scoring: {died}", resolved=False)
            except _RowError as error:
                return self.unscored(item, Failure.ENVIRONMENT, str(error))
        overhead = max(0.0, clock() - took - score.test_seconds)
        return _result(self.plan, item, prediction, score, overhead)

    def predict(self, item: Item) -> Prediction:
        job = {
            "instance": _row(item.instance),
            "variant": self.plan.variant,
            "sample": item.sample,
        }
        limit = self.plan.settings.timeout + GRACE_SECONDS
        return Prediction.model_validate(self.answer(self.sampler, job, limit))

    def answer(self, worker: Worker, job: Mapping[str, object], extra: float) -> dict[str, object]:
        reply = worker.ask(job, self.plan.settings.test_timeout + extra)
        if "error" in reply:
            raise _RowError(str(reply["error"]))
        return reply

    def unscored(
        self, item: Item, failure: Failure, reason: str, resolved: bool | None = None
    ) -> Result:
        return Result(
            instance_id=item.instance.instance_id,
            sample=item.sample,
            model=self.plan.model,
            variant=self.plan.variant,
            repo=item.instance.repo,
            family=item.instance.family,
            resolved=resolved,
            claimed=False,
            failure=failure,
            reason=reason,
        )


class _RowError(Exception):
    """A row that cannot be evaluated."""


def _row(instance: Instance) -> dict[str, object]:
    row: dict[str, object] = json.loads(instance.line)
    return row


def _result(
    plan: Plan, item: Item, prediction: Prediction, score: Score, overhead: float
) -> Result:
    claimed = prediction.status is Status.VERIFIED
    return Result(
        instance_id=item.instance.instance_id,
        sample=item.sample,
        model=plan.model,
        variant=plan.variant,
        repo=item.instance.repo,
        family=item.instance.family,
        resolved=score.resolved,
        claimed=claimed,
        failure=_failure(item.instance, prediction, score, claimed),
        reason=score.reason,
        status=prediction.status.value,
        trajectory=prediction.trajectory,
        attempts=prediction.attempts,
        prompt_tokens=prediction.prompt_tokens,
        cached_tokens=prediction.cached_tokens,
        completion_tokens=prediction.completion_tokens,
        seconds=prediction.seconds,
        model_seconds=prediction.model_seconds,
        test_seconds=prediction.test_seconds,
        score_seconds=score.test_seconds,
        overhead_seconds=overhead,
    )


def _failure(instance: Instance, prediction: Prediction, score: Score, claimed: bool) -> Failure:
    if score.resolved is None:
        return Failure.ENVIRONMENT
    if score.resolved:
        return Failure.SOLVED
    if not prediction.patch:
        out_of = {"time": Failure.OUT_OF_TIME, "tokens": Failure.OUT_OF_TOKENS}
        return out_of.get(prediction.spent, Failure.NO_PATCH)
    if not score.applies:
        return Failure.NOT_APPLICABLE
    if claimed:
        return Failure.FALSE_CLAIM
    all_fixed = len(score.fixed) == len(instance.fail_to_pass)
    return Failure.REGRESSION if all_fixed else Failure.WRONG
