"""What a run needs is taken away while it works: it says so, and harms nothing."""

import contextlib
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.agent import shop
from tests.faults.runs import SECONDS, Run, last_run, tree

GONE_SECONDS = 5.0
MODEL = Path(__file__).with_name("model_process.py")


@pytest.fixture
def repo(git_repo):
    """The example with uncommitted work."""
    root = git_repo(shop.files())
    with (root / "shop/basket.py").open("a") as file:
        file.write("# mine\n")
    (root / "own.txt").write_text("untracked\n")
    return root


@pytest.fixture
def model(tmp_path):
    return shop.script(tmp_path, [shop.PLAN, shop.GOOD])


def assert_ended_well(run, repo, before, *words):
    """It ended with one clear error, the tree as it was, and the trajectory closed."""
    assert run.end() == 3, run.text
    assert "Traceback" not in run.text
    for word in words:
        assert word in run.text
    assert tree(repo) == before
    status, events = last_run()
    assert (status, events[-1].kind) == ("environment", "finished")


@pytest.mark.parametrize("moment", ["sandbox ", "patch "])
def test_a_sandbox_is_killed(repo, model, moment):
    before = tree(repo)
    run = Run(repo, model, sandbox="bubblewrap")
    run.wait_for(moment)
    deadline = time.monotonic() + SECONDS
    while run.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in run.children("bwrap"):
                child.kill()
        time.sleep(0.01)
    assert_ended_well(run, repo, before, "the sandbox has died")
    assert shop.solve(repo, model)["status"] == "verified"


class Engine:
    """A socket through which the real container engine is reached, until it goes away."""

    def __init__(self, path):
        self.host = f"unix://{path}"
        self.real = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")).path
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        self.open = []
        self.gone = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.gone.is_set():
            try:
                ours, _ = self.listening.accept()
            except OSError:
                return
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(self.real)
            self.open += [ours, theirs]
            for source, sink in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()
            if self.gone.is_set():
                self._close(ours, theirs)

    def _copy(self, source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def stop(self):
        """Nobody listens any more, and every connection breaks off."""
        self.gone.set()
        self._close(self.listening, *self.open)

    @staticmethod
    def _close(*ends):
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def containers_of(pid):
    """Containers of a client process."""
    import docker

    engine = docker.from_env()
    try:
        rows = engine.api.containers(all=True, filters={"label": "apprentice=1"})
    finally:
        engine.close()
    clients = {row["Id"]: row["Labels"].get("apprentice.client", "") for row in rows}
    return [name for name, client in clients.items() if client.split()[:1] == [str(pid)]]


def eventually_gone(pid):
    """Whether a client's containers are gone in time."""
    deadline = time.monotonic() + GONE_SECONDS
    while containers_of(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not containers_of(pid)


@pytest.mark.docker
@pytest.mark.parametrize("moment", ["sandbox ", "plan "])
def test_a_container_is_removed(repo, model, moment):
    import docker

    before = tree(repo)
    run = Run(repo, model, sandbox="docker")
    run.wait_for(moment)
    engine = docker.from_env()
    try:
        for name in containers_of(run.process.pid):
            engine.api.remove_container(name, force=True)
    finally:
        engine.close()
    assert_ended_well(run, repo, before, "the sandbox has died")
    assert eventually_gone(run.process.pid)
    assert shop.solve(repo, model, sandbox="docker")["status"] == "verified"


@pytest.mark.docker
@pytest.mark.parametrize("moment", ["sandbox ", "attempt "])
def test_the_engine_goes_away(repo, model, tmp_path, moment):
    before = tree(repo)
    engine = Engine(tmp_path / "engine.sock")
    run = Run(repo, model, sandbox="docker", DOCKER_HOST=engine.host)
    run.wait_for(moment)
    engine.stop()
    assert_ended_well(run, repo, before)
    assert eventually_gone(run.process.pid)
    assert shop.solve(repo, model, sandbox="docker")["status"] == "verified"


def test_a_model_process_dies(repo):
    before = tree(repo)
    words = [sys.executable, str(MODEL)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            run = Run(repo, f"openai/m@{url}", sandbox="bubblewrap", NO_PROXY="*", no_proxy="*")
            assert_ended_well(run, repo, before, "plan ", f"cannot reach {url}")
            assert server.wait(10) == 1
        finally:
            server.kill()


def test_the_agent_is_stopped_and_goes_on(repo, model):
    run = Run(repo, model, sandbox="bubblewrap")
    run.wait_for("sandbox ")
    run.process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    run.process.send_signal(signal.SIGCONT)
    assert run.end() == 0, run.text
    assert last_run()[0] == "verified"


FULL = """
set -e
mount -t tmpfs -o size={size} tmpfs "$1"
shift
{prepare}
"$@" || echo "exit $?"
"""


def small(folder, size, prepare=""):
    """The start of a command line that runs with a small file system in a folder."""
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root and unshare")
    script = FULL.format(size=size, prepare=prepare)
    return ["unshare", "-m", "sh", "-c", script, "sh", str(folder)]


def solve_words(repo, model, *more):
    """`agent solve` as a command line."""
    words = [sys.executable, "-m", "agent", *map(str, shop.solve_arguments(repo, model, *more))]
    return [word for word in words if word != "--json"]


@pytest.mark.parametrize("pages", [2, 30])
def test_the_disk_of_the_store_is_full(repo, model, private_home, pages):
    before = tree(repo)
    words = [*small(private_home, pages * mmap.PAGESIZE), *solve_words(repo, model)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert "exit 3" in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "free" in done.stderr
    assert tree(repo) == before
    assert shop.solve(repo, model)["status"] == "verified"


def test_the_disk_of_the_repository_is_full(repo, model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    copy = f'cp -a "{repo}/." "{disk}"; cat /dev/zero > "{disk}/.git/ballast" 2>&- || true'
    check = f'find "{disk}" -name ".apprentice-*"; diff -r "{repo}" "{disk}" -x ballast'
    words = [*small(disk, "2m", copy), *solve_words(disk, model)]
    words[4] += check + " && echo same\n"
    done = subprocess.run(words, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "cannot be written: No space left on device" in done.stderr
    assert done.stdout == "exit 3\nsame\n"
