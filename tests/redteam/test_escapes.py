"""Every escape is tried, in every kind of sandbox; nothing comes of it and nothing stays."""

from __future__ import annotations

import dataclasses
import importlib
import os
import pkgutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from tests.redteam import escapes
from tests.redteam.escapes import PRELUDE, Host, listening, works
from tests.sandbox.conftest import LIMITS as SANDBOX_LIMITS
from tools.sandbox.base import File, Sandbox, Spec
from tools.sandbox.choose import Kind, open_sandbox
from tools.sandbox.docker import IMAGE

pytestmark = pytest.mark.slow

LIMITS = dataclasses.replace(SANDBOX_LIMITS, wall_seconds=120)
FILES = [
    File("a.py", b"print(1)\nprint(2)\nprint(3)\n"),
    File("src/run.sh", b"#!/bin/sh\necho ran\n", "100755"),
    File("link", b"a.py", "120000"),
    File(".gitignore", b"*.log\n"),
    File(".gitattributes", b"*.py filter=evil diff=evil merge=evil\n"),
]
CLEAN_UP_SECONDS = 5.0
PROBE_SECONDS = 5.0

KINDS: list[object] = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
MODULES = {
    info.name: importlib.import_module(f"{escapes.__name__}.{info.name}")
    for info in pkgutil.iter_modules(escapes.__path__)
}
HOST_ONLY = sorted(name for name, module in MODULES.items() if hasattr(module, "on_host"))
INSIDE = sorted(name for name in MODULES if name not in HOST_ONLY)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    folder = tmp_path / "open"
    for made in (folder, tmp_path / "temporary"):
        made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with listening(folder) as found:
        monkeypatch.setenv("APPRENTICE_SECRET", found.secret)
        yield found


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def probed() -> Iterator[None]:
    """Ask the host for a small thing again and again, and expect it to be done each time."""
    ended = threading.Event()
    longest = [0.0]

    def probe() -> None:
        while not ended.wait(0.2):
            start = time.monotonic()
            subprocess.run(["true"], check=True)
            longest.append(time.monotonic() - start)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert max(longest) < PROBE_SECONDS


def containers() -> list[str]:
    """Containers that belong to this process."""
    import docker

    engine = docker.from_env()
    try:
        found = engine.api.containers(all=True, filters={"label": "apprentice=1"})
        mine = f"{os.getpid()} "
        return [r["Id"] for r in found if r["Labels"].get("apprentice.client", "").startswith(mine)]
    finally:
        engine.close()


def traces() -> set[str]:
    """What a sandbox could leave on the host: mounts, temporary files, shared memory."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found = {line for line in mounts if "/apprentice" in line or "/newroot" in line}
    for folder in (tempfile.gettempdir(), "/dev/shm", "/"):
        names = (
            name
            for name in os.listdir(folder)
            if folder == tempfile.gettempdir() or name.startswith("escape")
        )
        found |= {f"{folder}/{name}" for name in names}
    return found


def marked(mark: str) -> list[int]:
    """Processes of the host that carry the mark of a script."""
    found = psutil.process_iter(["cmdline"])
    return [p.pid for p in found if mark in (p.info["cmdline"] or [])]


def attack(module: ModuleType, sandbox: Sandbox, host: Host, mark: str) -> None:
    if hasattr(module, "attack"):
        module.attack(sandbox, host)
        return
    command = [sandbox.python, "-I", "-S", "-c", PRELUDE + module.SCRIPT, mark]
    seconds = getattr(module, "SECONDS", 60.0)
    result = sandbox.run(command, timeout=seconds, env=host.environment)
    assert host.secret.encode() not in result.stdout + result.stderr
    module.held(result, sandbox, host)


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("kind", KINDS)
def test_escape(kind: Kind, name: str, host: Host) -> None:
    module = MODULES[name]
    limits = dataclasses.replace(LIMITS, **getattr(module, "LIMITS", {}))
    image = IMAGE if kind == "docker" else None
    before, mark = traces(), f"mark-{os.urandom(8).hex()}"
    with open_sandbox(kind, FILES, Spec(image=image, limits=limits)) as sandbox:
        started = psutil.Process().children(recursive=True)
        if getattr(module, "HEAVY", False):
            with probed():
                attack(module, sandbox, host, mark)
        else:
            attack(module, sandbox, host, mark)
        assert works(sandbox)
    start = time.monotonic()
    assert eventually(lambda: not any(p.is_running() for p in started), CLEAN_UP_SECONDS)
    assert eventually(lambda: not marked(mark), CLEAN_UP_SECONDS)
    if kind == "docker":
        assert eventually(lambda: not containers(), CLEAN_UP_SECONDS)
    assert eventually(lambda: traces() <= before, CLEAN_UP_SECONDS)
    assert time.monotonic() - start < CLEAN_UP_SECONDS
    assert host.knocks == []
    assert [path.name for path in host.folder.iterdir()] == ["secret"]
    assert (host.folder / "secret").read_text() == host.secret


@pytest.mark.parametrize("name", HOST_ONLY)
def test_host(name: str, git_repo: Callable[..., Path], tmp_path: Path) -> None:
    MODULES[name].on_host(git_repo, tmp_path)


def test_every_module_says_what_it_tries() -> None:
    for name, module in MODULES.items():
        assert module.__doc__, name
        assert any(hasattr(module, way) for way in ("SCRIPT", "attack", "on_host")), name
