"""Other agents on our tasks: the jail that they run in, their patches, and what is kept of runs."""

from __future__ import annotations

import http.server
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import Settings
from agent.evaluate.records import Plan
from agent.evaluate.results import Failure, Result
from agent.status import UsageError
from agent.tasks.instance import Instance
from policies.paths import data_root
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
        with sandbox.endpoint_socket(endpoint) as way:
            jail = sandbox.Jail(folder, (Path(sys.prefix),), way.socket, endpoint, **more)
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
    assert (ended.exit, ended.killed_by) == (None, "time")
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


def test_a_checkout_that_grows_too_large_is_the_end(jailed):
    fill = "import time\nopen('big', 'wb').write(bytes(3 << 20))\n"
    ended, _ = jailed(fill + "time.sleep(600)", disk_bytes=2 << 20)
    assert (ended.exit, ended.killed_by) == (None, "disk")
    assert ended.seconds < 30
    ended, _ = jailed(fill, disk_bytes=2 << 20)
    assert ended.killed_by == "disk"
    ended, _ = jailed("open('big', 'wb')", disk_bytes=2 << 20)
    assert (ended.exit, ended.killed_by) == (0, None)


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


ASK = "import os, urllib.request\nurllib.request.urlopen(os.environ['URL']).read()\n"


@pytest.fixture(scope="module")
def environments(tmp_path_factory) -> Path:
    """Environments of tasks, made once for all tests here."""
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def task(git_repo) -> Instance:
    """A row as others write them: its environment is what its repository declares."""
    project = '[project]\nname = "one"\nversion = "1"\ndependencies = ["iniconfig"]\n'
    root = git_repo({"one.py": "value = 1\n", "pyproject.toml": project})
    head = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    return Instance(
        instance_id="one",
        repo=str(root),
        base_commit=head.stdout.strip(),
        problem_statement="The value should be 2.",
        patch="unused",
        test_patch="",
        FAIL_TO_PASS=["test_one.py::test_value"],
        PASS_TO_PASS=[],
    )


@pytest.fixture
def record(monkeypatch):
    return peers_module(monkeypatch, "record")


@pytest.fixture
def bench(monkeypatch, record, sandbox, endpoint, environments, task, tmp_path):
    """Let a small program be the peer on tasks; returns the folder of its predictions."""
    run, peer = peers_module(monkeypatch, "run"), peers_module(monkeypatch, "peer")
    (data_root() / "environments").symlink_to(environments)
    url = f"http://127.0.0.1:{endpoint}/"

    def work(code: str, *instances: Instance, served: Any = lambda: True) -> Any:
        fake = peer.Peer("fake", "fake==1", lambda _: ["-c", code], lambda _: {"URL": url})
        folder = record.Folder(tmp_path / "out", note_of(record, run, instances or [task]))
        with sandbox.endpoint_socket(endpoint) as way:
            venv = Path(sys.prefix)
            bench = run.Bench(fake, venv, "tiny", endpoint, way, served, 60.0, folder)
            run.work(bench, instances or [task])
        return folder

    return work


def note_of(record: Any, run: Any, tasks: Any, **changes: Any) -> Any:
    """The note of a run of Aider."""
    settings = {"model": "tiny", "seconds": 60.0, "threads": None, "context_tokens": 512}
    return record.run_of(run.PEERS["aider"], tasks, **(settings | changes))


def test_a_peer_has_the_environment_that_the_repository_declares(bench):
    edit = "open('one.py', 'w').write('value = 2\\n')\n"
    folder = bench(f"{ASK}print(os.environ['VIRTUAL_ENV'])\n{edit}")
    row = json.loads((folder.path / "predictions.jsonl").read_text())
    assert (row["instance_id"], row["exit"], row["killed_by"]) == ("one", 0, None)
    assert "+value = 2" in row["model_patch"]
    environment = Path((folder.path / "logs" / "one.log").read_text().strip())
    assert (environment / "complete").read_text().split() == ["iniconfig", "pytest"]


def test_a_broken_peer_or_endpoint_is_no_failure_of_a_task(bench, tmp_path):
    with pytest.raises(SystemExit, match="fake ended with exit 3 and never asked the model"):
        bench("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="served no longer"):
        bench(ASK, served=lambda: False)
    alive = iter([True, False])
    with pytest.raises(SystemExit, match="repeat this task"):
        bench(ASK, served=lambda: next(alive))
    assert not (tmp_path / "out" / "predictions.jsonl").exists()
    folder = bench(ASK + "raise SystemExit(3)")
    assert folder.rows["one"]["exit"] == 3


def test_a_task_that_cannot_be_set_up_is_left_out(bench, task, git_repo, capsys):
    root = git_repo({"pyproject.toml": "no [toml"})
    head = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    update = {"instance_id": "bad", "repo": str(root), "base_commit": head.stdout.strip()}
    folder = bench(ASK, task.model_copy(update=update), task)
    assert list(folder.rows) == ["one"]
    assert "bad: left out: " in capsys.readouterr().err


def test_a_folder_holds_one_run(record, task, tmp_path, monkeypatch):
    run = peers_module(monkeypatch, "run")
    out = tmp_path / "out"
    other = task.model_copy(update={"instance_id": "other"})
    record.Folder(out, note_of(record, run, [task])).note({"instance_id": "one"})
    assert record.Folder(out, note_of(record, run, [other])).rows.keys() == {"one"}
    note = json.loads((out / "run.json").read_text())
    assert note["tasks"].keys() == {"one", "other"}
    assert "--auto-test" in note["argv"]
    with pytest.raises(UsageError, match="another model, seconds"):
        record.Folder(out, note_of(record, run, [task], model="large", seconds=61.0))
    with pytest.raises(UsageError, match=r"another (argv|files)"):
        record.Folder(out, note_of(record, run, [task], context_tokens=1024))
    changed = task.model_copy(update={"problem_statement": "The value should be 3."})
    with pytest.raises(UsageError, match="another text of one"):
        record.Folder(out, note_of(record, run, [changed]))
    (out / "run.json").unlink()
    with pytest.raises(UsageError, match=r"no run\.json"):
        record.Folder(out, note_of(record, run, [task]))


def test_a_cut_row_is_passed_over_and_gone_with_the_next(record, task, tmp_path, monkeypatch):
    run = peers_module(monkeypatch, "run")
    note = note_of(record, run, [task])
    record.Folder(tmp_path, note).note({"instance_id": "one", "model_patch": "\u2028"})
    predictions = tmp_path / "predictions.jsonl"
    with predictions.open("a") as file:
        file.write('{"instance_id": "two", "model_')
    folder = record.Folder(tmp_path, note)
    assert folder.rows.keys() == {"one"}
    folder.note({"instance_id": "three"})
    rows = [json.loads(line) for line in predictions.read_text().split("\n") if line]
    assert [row["instance_id"] for row in rows] == ["one", "three"]


def test_what_peers_depend_on_is_pinned(monkeypatch):
    run, peer = peers_module(monkeypatch, "run"), peers_module(monkeypatch, "peer")
    for each in run.PEERS.values():
        pins = peer.constraints(each).read_text().split()
        assert each.requirement in pins
        assert [pin for pin in pins if pin.count("==") != 1] == []


def result_of(task: str, resolved: bool | None, reason: str = "") -> str:
    return Result(
        instance_id=task,
        sample=0,
        model="tiny",
        variant="visible",
        repo="one",
        family="",
        resolved=resolved,
        claimed=False,
        failure=Failure.SOLVED if resolved else Failure.NO_PATCH,
        reason=reason,
    ).model_dump_json()


def evaluated(folder: Path, *rows: str, tasks: str = "a", timeout: float = 60.0) -> Path:
    """The records of an evaluation."""
    settings = Settings(model="tiny", timeout=timeout)
    plan = Plan(tasks_sha256=tasks, model="x", variant="visible", samples=1, settings=settings)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(plan.model_dump_json())
    (folder / "results.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_the_table_uses_the_last_row_of_each_sample(monkeypatch, tmp_path):
    table = peers_module(monkeypatch, "table")
    rows = [result_of("one", None, "\u2028"), result_of("two", False), result_of("one", True)]
    folder = evaluated(tmp_path / "ours", *rows)
    with (folder / "results.jsonl").open("ab") as file:
        file.write(b'\n{"instance_id": "th\xc3')
    found = {row.instance_id: row.resolved for row in table.latest(folder / "results.jsonl")}
    assert found == {"one": True, "two": False}


def test_the_table_refuses_other_tasks_models_or_limits(monkeypatch, record, task, tmp_path):
    table, run = peers_module(monkeypatch, "table"), peers_module(monkeypatch, "run")
    one, two = result_of("one", True), result_of("two", False)
    ours = evaluated(tmp_path / "apprentice", one, two)
    peer = evaluated(tmp_path / "aider" / "scored", two, one, timeout=900.0)
    record.Folder(peer.parent, note_of(record, run, [task]))
    table.check_same([ours, peer])
    for name, rows, changes, told in (
        ("fewer", [one], {}, "1 tasks are only in one of .*: two"),
        ("stale", [one, two], {"tasks": "b"}, "differ: .*'b'"),
        ("longer", [one, two], {"timeout": 61.0}, "differ: .*61.0"),
    ):
        with pytest.raises(SystemExit, match=told):
            table.check_same([ours, peer, evaluated(tmp_path / name, *rows, **changes)])
