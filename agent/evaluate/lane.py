"""One sample of one task after the other: predicted, scored, and told apart by how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.evaluate import sample, score
from agent.evaluate.records import Folder
from agent.evaluate.results import Failure, Result, Run
from agent.evaluate.sample import Prediction
from agent.evaluate.score import Score
from agent.status import Status
from agent.tasks.instance import Instance
from agent.workers.process import START_SECONDS, Worker, WorkerDied
from agent.workspace import timed

GRACE_SECONDS = 300.0
VERDICT_RUNS = 6
STORE = "experience.db"
KEPT = frozenset({Status.VERIFIED, Status.UNVERIFIED, Status.NOT_SOLVED, Status.NOTHING_TO_DO})


@dataclass(frozen=True)
class Item:
    """One sample of one task."""

    instance: Instance
    sample: int

    @property
    def key(self) -> tuple[str, int]:
        """What results are found by."""
        return self.instance.instance_id, self.sample


class Unscored(Exception):
    """There is no score: `resolved` is None where no patch and no agent is to blame."""

    def __init__(self, reason: str, failure: Failure = Failure.ENVIRONMENT) -> None:
        super().__init__(reason)
        self.failure = failure
        self.resolved = False if failure is Failure.CRASHED else None


class Lane:
    """A process that samples, and another that prepares and scores. Used by one thread."""

    def __init__(self, folder: Folder, made: Mapping[tuple[str, int], Prediction]) -> None:
        self.folder, self.plan, self.made = folder, folder.plan, made
        self.sampler = Worker(sample.__name__, self.plan.settings, folder.path / STORE)
        self.scorer = Worker(score.__name__, self.plan.settings)
        self.workers = (self.sampler, self.scorer)

    def keep(self, result: Result) -> None:
        """Write a result down."""
        self.folder.scores.append(result)

    def result(self, item: Item) -> Result:
        """What comes of an item. Raises EnvironmentFailure when a worker cannot start."""
        prediction = self.made.get(item.key)
        overhead = 0.0
        try:
            if prediction is None or _is_scored(prediction):
                self.prepare(item)
            if prediction is None:
                self.sampler.start()
                clock = timed()
                prediction = self.predict(item)
                overhead = clock() - prediction.seconds
                if prediction.status in KEPT:
                    self.folder.samples.append(prediction)
            clock = timed()
            score = self.score(item, prediction)
            overhead += clock() - score.test_seconds
        except Unscored as end:
            return self.write(
                item, prediction, Score(resolved=end.resolved, reason=str(end)), end.failure
            )
        failure = _failure(item.instance, prediction, score)
        if self.plan.predictions_sha256:
            overhead = 0.0
        return self.write(item, prediction, score, failure, max(0.0, overhead))

    def prepare(self, item: Item) -> None:
        """Have what may take long, and counts for nobody, done in time of its own."""
        try:
            self.ask(self.scorer, START_SECONDS, "prepare", item)
        except WorkerDied as died:
            raise Unscored(f"preparing: {died}") from died

    def predict(self, item: Item) -> Prediction:
        settings = self.plan.settings
        seconds = settings.timeout + VERDICT_RUNS * settings.test_timeout + GRACE_SECONDS
        more = {"variant": self.plan.variant, "sample": item.sample}
        try:
            reply = self.ask(self.sampler, seconds, "predict", item, **more)
        except WorkerDied as died:
            raise Unscored(str(died), Failure.CRASHED) from died
        return Prediction.model_validate(reply)

    def score(self, item: Item, prediction: Prediction) -> Score:
        if prediction.status is Status.INTERRUPTED:
            raise Unscored(prediction.message, Failure.CRASHED)
        if prediction.status not in KEPT:
            raise Unscored(prediction.message)
        if not _is_scored(prediction):
            return Score(resolved=False, reason=prediction.message)
        seconds = VERDICT_RUNS * self.plan.settings.test_timeout + GRACE_SECONDS
        try:
            reply = self.ask(self.scorer, seconds, "score", item, patch=prediction.patch)
        except WorkerDied:
            try:
                reply = self.ask(self.scorer, seconds, "score", item, patch=prediction.patch)
            except WorkerDied as died:
                raise Unscored(f"scoring: {died}") from died
        return Score.model_validate(reply)

    def ask(self, worker: Worker, seconds: float, do: str, item: Item, **more: Any) -> Any:
        """The answer to a job. Raises Unscored, WorkerDied, EnvironmentFailure."""
        instance = item.instance.model_dump(mode="json", by_alias=True)
        reply = worker.ask({"do": do, "instance": instance, **more}, seconds)
        if "error" in reply:
            failure = Failure.ENVIRONMENT if reply["expected"] else Failure.CRASHED
            raise Unscored(str(reply["error"]), failure)
        return reply

    def write(
        self,
        item: Item,
        prediction: Prediction | None,
        score: Score,
        failure: Failure,
        overhead: float = 0.0,
    ) -> Result:
        """The row of a result, with what the prediction took, if there is one."""
        ignored = [f"ignored: {', '.join(score.ignored)}"] if score.ignored else []
        result = Result(
            instance_id=item.instance.instance_id,
            sample=item.sample,
            model=self.plan.model,
            variant=self.plan.variant,
            repo=item.instance.repo,
            family=item.instance.family,
            resolved=score.resolved,
            claimed=prediction is not None and prediction.status is Status.VERIFIED,
            failure=failure,
            reason="; ".join([*filter(None, [score.reason]), *ignored]),
            score_test_seconds=score.test_seconds,
            overhead_seconds=overhead,
        )
        if prediction is None:
            return result
        took = prediction.model_dump(include=set(Run.model_fields))
        return result.model_copy(update={**took, "status": prediction.status.value})


def _is_scored(prediction: Prediction) -> bool:
    """Whether tests run on it: on a patch, and on the untouched base where that was asked for."""
    return bool(prediction.patch.strip()) or prediction.status is Status.UNVERIFIED


def _failure(instance: Instance, prediction: Prediction, score: Score) -> Failure:
    if score.resolved is None:
        return Failure.ENVIRONMENT
    if score.resolved:
        return Failure.SOLVED
    if not prediction.patch.strip():
        out_of = {"time": Failure.OUT_OF_TIME, "tokens": Failure.OUT_OF_TOKENS}
        return out_of.get(prediction.spent, Failure.NO_PATCH)
    if not score.applies:
        return Failure.NOT_APPLICABLE
    if prediction.status is Status.VERIFIED:
        return Failure.FALSE_CLAIM
    if score.tampered:
        return Failure.TAMPERED
    if score.held_out is False:
        return Failure.BY_HEART
    all_fixed = len(score.fixed) == len(instance.fail_to_pass)
    return Failure.REGRESSION if all_fixed else Failure.WRONG
