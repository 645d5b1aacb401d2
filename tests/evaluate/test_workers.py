"""Worker processes that die, are late, or are ended; and what their end means for a sample."""

import contextlib
import json
import threading
import time

import psutil
import pytest

from agent.config import Settings
from agent.evaluate import score
from agent.evaluate.lane import Item, Lane, Unscored
from agent.evaluate.records import Folder, Plan
from agent.evaluate.results import Failure
from agent.evaluate.sample import Prediction
from agent.status import Status
from agent.workers import pool
from agent.workers import process as workers
from agent.workers.process import Worker, WorkerDied
from tests.agent import shop
from tests.tasks.samples import shop_task

SETTINGS = Settings(sandbox="bubblewrap")


@pytest.fixture
def worker():
    made = Worker(score.__name__, SETTINGS)
    yield made
    made.stop()


@pytest.fixture
def task(git_repo):
    return shop_task(git_repo(shop.files()))


def row(task):
    return task.model_dump(mode="json", by_alias=True)


def test_errors_are_told_from_bugs(worker, task):
    nowhere = row(task) | {"repo": "/nowhere/at/all"}
    expected = worker.ask({"do": "prepare", "instance": nowhere}, 60)
    assert expected["expected"] is True
    assert "/nowhere/at/all" in expected["error"]
    bug = worker.ask({"do": "score", "instance": row(task)}, 60)
    assert bug == {"error": "KeyError: 'patch'", "expected": False}


def test_a_worker_that_is_late_or_dead_is_started_again(worker, task):
    job = {"do": "prepare", "instance": row(task)}
    with pytest.raises(WorkerDied, match="no answer in 0 s"):
        worker.ask(job, 0)
    process = worker.start()
    process.kill()
    process.wait()
    assert worker.ask(job, 60) == {}
    assert worker.process is not process


def test_stopping_what_has_ended_is_no_error(worker):
    process = worker.start()
    process.stdin.write(b"a line that nobody reads, kept in the buffer")
    process.kill()
    process.wait()
    worker.stop()
    worker.stop()
    assert worker.process is None


DEAF = """
import time
from pathlib import Path

def open_jobs(settings, store, stack):
    return {"sleep": sleep}

def sleep(instance, row, settings):
    try:
        Path(row["note"]).touch()
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(60)
"""


def test_a_worker_in_which_an_interrupt_is_lost_is_asked_again(tmp_path, task, monkeypatch):
    (tmp_path / "deaf.py").write_text(DEAF)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(workers, "STOP_SECONDS", 4.0)
    deaf = Worker("deaf", SETTINGS)
    process = deaf.start()
    note = tmp_path / "begun"
    job = {"do": "sleep", "instance": row(task), "note": str(note)}
    process.stdin.write(json.dumps(job).encode() + b"\n")
    process.stdin.flush()
    while not note.exists():
        time.sleep(0.05)
    begun = time.monotonic()
    deaf.stop()
    assert process.returncode == 0
    assert 2 <= time.monotonic() - begun < 4


def test_a_lane_whose_worker_lost_an_interrupt_is_asked_again(tmp_path, task, monkeypatch):
    (tmp_path / "deaf.py").write_text(DEAF)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for module in (workers, pool):
        monkeypatch.setattr(module, "STOP_SECONDS", 4.0)
    deaf, note = Worker("deaf", SETTINGS), tmp_path / "begun"
    job = {"do": "sleep", "instance": row(task), "note": str(note)}

    class DeafLane:
        workers = (deaf,)

        def result(self, item):
            return deaf.ask(item, 60)

    class BrokenLane:
        workers = ()

        def result(self, item):
            while not note.exists():
                time.sleep(0.05)
            raise KeyError(item)

    with pytest.raises(KeyError):
        list(pool.in_threads([DeafLane(), BrokenLane()], lambda: job))
    assert deaf.process is None
    assert 2 <= time.time() - note.stat().st_mtime < 4


def test_nothing_starts_after_closing(worker):
    process = worker.start()
    worker.close()
    assert process.wait(20) is not None
    worker.stop()
    with pytest.raises(WorkerDied, match="the run ends"):
        worker.ask({}, 60)


def test_closing_ends_the_wait_for_an_answer(worker, task):
    job = {"do": "score", "instance": row(task), "patch": task.patch}
    ends = []

    def ask():
        try:
            worker.ask(job, 60)
        except WorkerDied as died:
            ends.append(died)

    worker.start()
    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.1)
    worker.close()
    thread.join(30)
    assert len(ends) == 1
    assert "it ended" in str(ends[0])


def lane(path, made):
    plan = Plan(
        tasks_sha256="0",
        predictions_sha256="1",
        model="m",
        variant="visible",
        samples=1,
        settings=SETTINGS,
    )
    path.mkdir()
    return Lane(Folder(path, plan), {(made.instance_id, 0): made})


def prediction(task, status=Status.VERIFIED, **more):
    return Prediction(instance_id="shop", sample=0, patch=task.patch, status=status, **more)


def kill_while_scoring(worker, times):
    """Kill the process of a worker as often as it has a sandbox, `times` at most."""
    killed = set()
    deadline = time.monotonic() + 60
    while len(killed) < times and time.monotonic() < deadline:
        process = worker.process
        if process is not None and process.pid not in killed and process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(process.pid).children(recursive=True)
                if any("bwrap" in child.name() for child in children):
                    process.kill()
                    killed.add(process.pid)
        time.sleep(0.002)


@pytest.mark.parametrize(("deaths", "resolved"), [(1, True), (2, None)])
def test_a_scorer_that_dies_is_tried_once_more(task, tmp_path, deaths, resolved):
    tried = lane(tmp_path / "out", prediction(task, seconds=7.0, completion_tokens=9))
    killer = threading.Thread(target=kill_while_scoring, args=(tried.scorer, deaths), daemon=True)
    killer.start()
    try:
        result = tried.result(Item(task, 0))
    finally:
        tried.scorer.stop()
    killer.join()
    assert result.resolved is resolved
    assert (result.claimed, result.seconds, result.completion_tokens) == (True, 7.0, 9)
    if resolved is None:
        assert result.failure is Failure.ENVIRONMENT
        assert result.reason == "scoring: it ended with code -9"


def test_a_bug_of_ours_is_a_failure(task, tmp_path):
    tried = lane(tmp_path / "out", prediction(task))
    with pytest.raises(Unscored, match="KeyError") as raised:
        tried.ask(tried.scorer, 60, "score", Item(task, 0))
    tried.scorer.stop()
    assert (raised.value.failure, raised.value.resolved) == (Failure.CRASHED, False)


@pytest.mark.parametrize(
    ("status", "failure", "resolved"),
    [
        (Status.ENVIRONMENT, Failure.ENVIRONMENT, None),
        (Status.USAGE, Failure.ENVIRONMENT, None),
        (Status.INTERRUPTED, Failure.CRASHED, False),
    ],
)
def test_runs_that_did_not_end_by_themselves(task, tmp_path, status, failure, resolved):
    made = prediction(task, status, message="why").model_copy(update={"patch": ""})
    result = lane(tmp_path / "out", made).result(Item(task, 0))
    assert (result.failure, result.resolved, result.reason) == (failure, resolved, "why")
