"""The jail that other agents run in: what is closed, what is open, and the patch that comes out."""

from __future__ import annotations

import http.server
import importlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.sandbox.base import File

PEERS = Path(__file__).parents[1] / "benchmarks" / "peers"
FILES = (
    File("pkg/code.py", b"value = 1\n"),
    File("run.sh", b"#!/bin/sh\n", "100755"),
    File("link", b"pkg/code.py", "120000"),
    File(".gitignore", b"ignored.txt\n"),
    File("ignored.txt", b"kept\n"),
    File(".hypothesis/kept", b"kept\n"),
    File(".gitattributes", b"*.py filter=evil diff=evil\n"),
)


def peers_module(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """A module of benchmarks/peers, as its programs import it."""
    monkeypatch.syspath_prepend(str(PEERS))
    return importlib.import_module(name)


@pytest.fixture
def sandbox(monkeypatch):
    return peers_module(monkeypatch, "sandbox")


@pytest.fixture
def checkout(monkeypatch):
    return peers_module(monkeypatch, "checkout")


@pytest.fixture
def endpoint() -> Iterator[int]:
    """A tiny server on this machine that answers `hello`; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def jailed(sandbox, endpoint, tmp_path):
    """Run Python code in a jail; returns how it ended and what it printed."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    log = tmp_path / "log"

    def run(code: str, seconds: float = 60.0, **more: Any) -> tuple[Any, str]:
        with sandbox.endpoint_socket(endpoint) as socket:
            jail = sandbox.Jail(folder, (Path(sys.prefix),), socket, endpoint, **more)
            ended = sandbox.run(jail, [sys.executable, "-c", code], seconds, log)
        return ended, log.read_text()

    return run


def test_the_endpoint_is_all_that_can_be_reached(jailed, endpoint):
    ended, output = jailed(
        "import socket, urllib.request\n"
        f"print(urllib.request.urlopen('http://127.0.0.1:{endpoint}/').read())\n"
        "print([name for _, name in socket.if_nameindex()])\n"
        "for place in (('192.0.2.1', 80), ('127.0.0.1', 1)):\n"
        "    try:\n"
        "        socket.create_connection(place, 3)\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__, error.errno)\n"
    )
    assert output.splitlines() == [
        "b'hello'",
        "['lo']",
        "OSError 101",
        "ConnectionRefusedError 111",
    ]
    assert ended.exit == 0


def test_only_the_checkout_is_written_and_the_home_is_empty(jailed, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    code = (
        "import os, pathlib\n"
        "pathlib.Path('made.txt').write_text('made')\n"
        "print(os.getcwd(), sorted(os.listdir(os.path.expanduser('~'))), os.environ['WORD'])\n"
        f"for path in ({sys.prefix!r} + '/new', '/usr/new', '/new', '/etc/new', '/root/new'):\n"
        "    try:\n"
        "        pathlib.Path(path).write_text('x')\n"
        "        print('wrote', path)\n"
        "    except OSError:\n"
        "        pass\n"
        f"print([os.path.exists(path) for path in {[str(secret), str(PEERS)]}])\n"
        f"home, shown = {str(Path.home())!r}, {[sys.prefix, sys.base_prefix]}\n"
        "names = os.listdir(home) if os.path.exists(home) else []\n"
        "paths = [os.path.join(home, name) for name in names]\n"
        "print([path for path in paths if not any(top.startswith(path) for top in shown)])\n"
        "print(open(os.path.expanduser('~/note')).read())\n"
        "print(sorted(set(os.environ) & {'APPRENTICE_HOME', 'GIT_AUTHOR_NAME'}))\n"
    )
    ended, output = jailed(code, env={"WORD": "word"}, files={"note": b"for the peer"})
    assert ended.exit == 0, output
    assert output.splitlines() == [
        "/workspace ['note'] word",
        "[False, False]",
        "[]",
        "for the peer",
        "[]",
    ]
    assert (tmp_path / "checkout" / "made.txt").read_text() == "made"


def test_the_whole_tree_is_killed_at_the_limit(jailed, tmp_path):
    code = (
        "import subprocess, sys, time\n"
        'beat = \'import time\\nwhile True: open("beat", "a").write("x"); time.sleep(0.02)\'\n'
        "subprocess.Popen([sys.executable, '-c', beat], start_new_session=True)\n"
        "time.sleep(600)\n"
    )
    ended, _ = jailed(code, seconds=2.0)
    assert ended.exit is None
    assert 2.0 <= ended.seconds < 10
    beat = tmp_path / "checkout" / "beat"
    time.sleep(0.3)
    size = beat.stat().st_size
    assert size > 0
    time.sleep(0.3)
    assert beat.stat().st_size == size


def test_an_exit_code_comes_back_and_leaves_no_process(jailed, tmp_path):
    code = (
        "import subprocess, sys\n"
        'late = \'import time; time.sleep(1); open("late", "w")\'\n'
        "subprocess.Popen([sys.executable, '-c', late], start_new_session=True)\n"
        "sys.exit(7)\n"
    )
    ended, _ = jailed(code)
    assert ended.exit == 7
    time.sleep(1.3)
    assert not (tmp_path / "checkout" / "late").exists()


def test_the_patch_of_a_checkout(checkout, tmp_path):
    folder, again = tmp_path / "one", tmp_path / "two"
    for place in (folder, again):
        place.mkdir()
        checkout.make(FILES, place)
    log = subprocess.run(
        ["git", "-C", folder, "log", "--format=%s"], capture_output=True, text=True, check=True
    )
    assert log.stdout == "start\n"
    assert checkout.diff(FILES, folder) == ""

    ran = tmp_path / "ran"
    (folder / ".git" / "config").write_text(
        f'[core]\n\tfsmonitor = touch {ran}\n[diff "evil"]\n\tcommand = touch {ran}\n'
        f'[filter "evil"]\n\tclean = touch {ran}\n\trequired = true\n'
    )
    (folder / "pkg" / "code.py").write_text("value = 2\n")
    (folder / "pkg" / "new name.py").write_text("ü = 1\n", encoding="utf-8")
    (folder / "run.sh").chmod(0o644)
    (folder / "link").unlink()
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "data.bin").write_bytes(bytes(range(256)))
    for waste in (
        "pkg/__pycache__/code.pyc",
        ".hypothesis/new",
        "pkg/.pytest_cache/x",
        ".aider.chat.history.md",
        "sub/.git/config",
    ):
        (folder / waste).parent.mkdir(parents=True, exist_ok=True)
        (folder / waste).write_text("waste")
    os.mkfifo(folder / "pipe")
    patch = checkout.diff(FILES, folder)
    assert not ran.exists()
    assert "waste" not in patch
    assert "root:" not in patch

    subprocess.run(["git", "-C", again, "apply", "--index", "-"], input=patch.encode(), check=True)
    assert (again / "pkg" / "code.py").read_text() == "value = 2\n"
    assert (again / "pkg" / "new name.py").read_text(encoding="utf-8") == "ü = 1\n"
    assert os.readlink(again / "link") == "/etc/passwd"
    assert (again / "data.bin").read_bytes() == bytes(range(256))
    assert not (again / "run.sh").stat().st_mode & 0o100
    assert (again / "ignored.txt").read_text() == "kept\n"
    assert sorted(p.name for p in again.iterdir() if p.name != ".hypothesis") == sorted(
        [".git", ".gitattributes", ".gitignore", "data.bin", "ignored.txt", "link", "pkg", "run.sh"]
    )
