"""What is learned from: stored runs, and conversations in files."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from agent.rollout.records import BATCHES, STORE, Batch
from agent.status import UsageError
from agent.tasks.journal import Journal
from agent.train.request import Request
from policies.experience.store import Store, default_path
from policies.learning.batch import Trajectory, read
from policies.learning.rewards import RewardConfig


def stored(request: Request, rewards: RewardConfig) -> list[Trajectory]:
    """The trajectories of the stored runs that a request chooses.

    Raises UsageError when a store is not there, LearningError where tokens do not fit together.
    """
    found: list[Trajectory] = []
    for path in request.stores or ((default_path(),) if default_path().exists() else ()):
        database = path / STORE if path.is_dir() else path
        if not database.is_file():
            raise UsageError(
                f"there is no store at {database}", "Name a folder of `agent rollout` or `eval`."
            )
        with ExitStack() as stack:
            store = stack.enter_context(Store.open(database))
            if request.trajectories:
                names = [store.resolve(name) for name in request.trajectories]
            else:
                names = _runs(store, database, request)
            found += read(store, names, rewards)
    return found


def _runs(store: Store, database: Path, request: Request) -> list[str]:
    """The latest runs, oldest first; of a rollout's, those that are batches.

    What a killed rollout left of a batch was drawn again.
    """
    names = [summary.id for summary in store.trajectories(-1, request.repository)]
    batches = database.with_name(BATCHES)
    if database.name == STORE and batches.exists():
        drawn = {batch.trajectory for batch in Journal(batches, Batch).rows()}
        names = [name for name in names if name in drawn]
    return names[: request.limit][::-1]


def read_gold(path: Path) -> list[list[dict[str, str]]]:
    """Conversations to learn: JSONL rows `{"messages": [{"role", "content"}, …]}`.

    Raises UsageError that names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            messages = json.loads(line)["messages"]
            rows.append([{"role": m["role"], "content": m["content"]} for m in messages])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path}, line {number} is no conversation",
                'A row is {"messages": [{"role": …, "content": …}, …]}.',
            ) from error
    return rows
