"""`agent doctor`: is everything there that a solve needs, and how fast is it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from agent.config import Settings
from agent.documents import Document, Part
from agent.workspace import timed

MIN_FREE_BYTES = 3_000_000_000


class Check(Part):
    """One finding: `ok` None means optional and absent; `next` says what to do."""

    name: str
    ok: bool | None
    detail: str
    next: str = ""


class Checks(Document):
    """`agent doctor`. `ok`: no check fails, and there is a sandbox."""

    name: Literal["apprentice.checks"] = Field(default="apprentice.checks", alias="schema")
    version: Literal[1] = 1
    ok: bool
    checks: tuple[Check, ...]


def checks(settings: Settings, repository: Path) -> Iterator[Check]:
    """Run the checks one by one, the slow ones (sandbox, model) last."""
    steps: list[Callable[[], Iterator[Check]]] = [
        _git,
        lambda: _repository(repository),
        _disk,
        _store,
        lambda: _sandboxes(settings),
        lambda: _model(settings),
    ]
    for step in steps:
        yield from step()


def _git() -> Iterator[Check]:
    path = shutil.which("git")
    if path is None:
        yield _check("git", False, "not found", "Install git.")
        return
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip()
    yield _check("git", True, version)


def _repository(path: Path) -> Iterator[Check]:
    from agent.repository import open_repository
    from agent.status import AgentError

    try:
        repo = open_repository(path)
    except AgentError as error:
        yield _check("repository", None, str(error), error.hint)
        return
    yield _check("repository", True, str(repo.working_dir))
    repo.close()


def _disk() -> Iterator[Check]:
    from policies.paths import data_root

    folder = data_root()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    ok = free > MIN_FREE_BYTES and os.access(folder, os.W_OK)
    hint = "" if ok else "Free some space, or set APPRENTICE_HOME to a folder with more."
    yield _check("disk", ok, f"{free / 1e9:.1f} GB free in {folder}", hint)


def _store() -> Iterator[Check]:
    from policies.experience.store import Store, StoreError

    try:
        with Store.open() as store:
            yield _check("experience", True, str(store.path))
    except StoreError as error:
        yield _check("experience", False, str(error))


def _sandboxes(settings: Settings) -> Iterator[Check]:
    from tools.sandbox.base import File, SandboxError, Spec
    from tools.sandbox.choose import available, open_sandbox

    reasons = available()
    for name in ("docker", "bubblewrap"):
        if reason := reasons.get(name, "unknown"):
            yield _check(f"sandbox: {name}", None, reason)
            continue
        clock = timed()
        try:
            with open_sandbox(name, [File("a", b"")], Spec(image=settings.image)) as sandbox:
                opened = clock()
                clock = timed()
                sandbox.run(["true"])
                call = clock()
                filtered = "filtered" if sandbox.filtered else "NOT filtered: no seccomp here"
            detail = f"opens in {opened:.2f} s, a call takes {call * 1000:.1f} ms"
            detail += f", commands are {filtered}"
            yield _check(f"sandbox: {name}", True, detail)
        except SandboxError as error:
            yield _check(f"sandbox: {name}", None, str(error))


def _model(settings: Settings) -> Iterator[Check]:
    from policies.base import Message, PolicyError, Sampling
    from policies.choose import open_policy
    from policies.hub.store import list_models

    known = {model.name: model for model in list_models()}
    if settings.model in known and not known[settings.model].present:
        yield _check("model", False, f"{settings.model} is not fetched", "Run `agent models pull`.")
        return
    clock = timed()
    try:
        policy = open_policy(settings.model, context_tokens=1024)
    except PolicyError as error:
        yield _check("model", False, str(error), "Run `agent models list`.")
        return
    loaded = clock()
    try:
        prompt = [Message(role="user", content="Count from one to thirty in words.")]
        done = policy.sample(prompt, 1, Sampling(max_tokens=48))[0]
        speed = done.usage.completion / done.seconds if done.seconds else 0.0
        yield _check(
            "model", True, f"{policy.version}: loads in {loaded:.1f} s, {speed:.0f} tokens/s"
        )
    except PolicyError as error:
        yield _check("model", False, str(error))
    finally:
        policy.close()


def _check(name: str, ok: bool | None, detail: str, hint: str = "") -> Check:
    return Check(name=name, ok=ok, detail=detail, next=hint)
