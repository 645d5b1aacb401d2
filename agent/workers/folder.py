"""The folder of a long run: one run at a time, and always the same one."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from agent.status import EnvironmentFailure, UsageError
from agent.tasks.instance import write_text


@contextmanager
def held(path: Path, plan: BaseModel, command: str) -> Iterator[None]:
    """Hold the folder for a run of `command`: it is made, or holds a run of this plan already.

    Raises AgentError when another process is at work in it, or it holds another plan.
    """
    with alone(path, command):
        _claim(path, plan)
        yield


@contextmanager
def alone(path: Path, command: str) -> Iterator[None]:
    """Make the folder, and keep other processes out of it while `command` is at work there.

    Raises AgentError when another process is, or it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("a")
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another `{command}` is at work in {path}",
                "Wait until it ends, or name another folder with --out.",
            ) from error
        yield


def _claim(path: Path, plan: BaseModel) -> None:
    note = path / "run.json"
    if not note.exists():
        write_text(note, plan.model_dump_json(indent=2) + "\n")
        return
    try:
        same = type(plan).model_validate_json(note.read_bytes()) == plan
    except ValidationError:
        same = False
    if not same:
        raise UsageError(
            f"{path} holds a run with other tasks or settings",
            "Name another folder with --out.",
        )
