"""What is learned from: stored runs, and conversations in files."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from agent.rollout.records import BATCHES, Batch
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
        database = path / "experience.db" if path.is_dir() else path
        if not database.is_file():
            raise UsageError(
                f"there is no store at {database}", "Name a folder of `agent rollout` or `eval`."
            )
        with ExitStack() as stack:
            store = stack.enter_context(Store.open(database))
            if request.trajectories:
                names = [store.resolve(name) for name in request.trajectories]
            else:
                limit = -1 if request.limit is None else request.limit
                summaries = store.trajectories(limit, request.repository)
                names = [summary.id for summary in reversed(summaries)]
                # What a killed rollout left of a batch was drawn again.
                drawn = {b.trajectory for b in Journal(database.with_name(BATCHES), Batch).rows()}
                names = [name for name in names if not drawn or name in drawn]
            found += read(store, names, rewards)
    return found


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
