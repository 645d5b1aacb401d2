import multiprocessing
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from policies.base import Frozen
from policies.experience.events import Finished, Observed, Patched, TaskStarted
from policies.experience.store import (
    Store,
    StoreError,
    UnknownTrajectoryError,
    default_path,
)

from .samples import trajectory

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "experience.db"


def python(*arguments: object, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, **options)


def test_a_trajectory_comes_back_in_order(path):
    events = trajectory()
    with Store.open(path) as store, store.begin() as writer:
        for event in events:
            writer.append(event)
        assert list(store.events(writer.id)) == events
    with Store.open(path) as store:
        assert list(store.events(writer.id)) == events


def test_the_place_is_under_apprentice_home_and_private(monkeypatch, tmp_path):
    monkeypatch.setenv("APPRENTICE_HOME", str(tmp_path / "home"))
    assert default_path() == tmp_path / "home" / "experience.db"
    with Store.open() as store:
        store.begin()
        assert default_path().stat().st_mode & 0o777 == 0o600
        assert default_path().parent.stat().st_mode & 0o077 == 0
    monkeypatch.delenv("APPRENTICE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert default_path().name == "experience.db"
    assert "apprentice" in default_path().parts


def test_the_database_is_durable_and_checks_its_references(path):
    with Store.open(path) as store:

        def pragma(name):
            return store._db.execute(f"PRAGMA {name}").fetchone()[0]

        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2
        assert pragma("foreign_keys") == 1


def test_a_summary_tells_what_happened(path):
    with Store.open(path) as store, store.begin() as writer:
        for event in trajectory():
            writer.append(event)
        (summary,) = store.trajectories()
    assert summary.id == writer.id
    assert writer.id.startswith(summary.short)
    assert summary.issue == "add() subtracts"
    assert summary.repository == "/home/someone/calc"
    assert (summary.status, summary.exit_code) == ("solved", 0)
    assert summary.attempts == 1
    assert (summary.prompt_tokens, summary.completion_tokens) == (900, 40)
    assert summary.seconds == 65.0
    assert summary.events == len(trajectory())


def test_the_list_is_newest_first_limited_and_by_repository(path):
    start = next(event for event in trajectory() if isinstance(event, TaskStarted))
    names = []
    with Store.open(path) as store:
        for repository in ("/a/one", "/a/two", "/a/one", "/a/100%"):
            writer = store.begin()
            writer.append(start.model_copy(update={"repository": repository}))
            names.append(writer.id)
        assert names == sorted(names)
        assert [s.id for s in store.trajectories()] == names[::-1]
        assert [s.id for s in store.trajectories(2)] == [names[3], names[2]]
        assert [s.id for s in store.trajectories(9, "/a/one")] == [names[2], names[0]]
        assert [s.id for s in store.trajectories(1, "one")] == [names[2]]
        assert store.trajectories(9, "%") == []
        assert len({s.short for s in store.trajectories()}) == 4
        for summary in store.trajectories():
            assert store.resolve(summary.short) == summary.id


def test_resolve(path):
    with Store.open(path) as store:
        with pytest.raises(UnknownTrajectoryError, match="last"):
            store.resolve("last")
        first, second = store.begin().id, store.begin().id
        assert store.resolve("last") == second
        assert store.resolve(first.upper()) == first
        with pytest.raises(UnknownTrajectoryError, match=f"2 trajectories.*{first}, {second}"):
            store.resolve(first[:5])
        for name in ("zzzz", "", "%", "_" * 26):
            with pytest.raises(UnknownTrajectoryError, match="experience list"):
                store.resolve(name)
        with pytest.raises(UnknownTrajectoryError):
            store.events("zzzz")


def test_only_events_of_this_version_are_taken(path):
    class Other(Frozen):
        kind: str = "observed"

    with Store.open(path) as store, store.begin() as writer:
        for wrong in ({"kind": "observed"}, "text", None, Other()):
            with pytest.raises(TypeError):
                writer.append(wrong)
        with pytest.raises(ValueError, match="version 1"):
            writer.append(Patched(diff="", v=7))
        assert list(store.events(writer.id)) == []


def test_status_of_unfinished_trajectories(path):
    with Store.open(path) as store:
        mine = store.begin()
        assert store.status(mine.id) == "running"
        child = python(HERE / "writer_process.py", path, 10**9, 1)
        other = child.stdout.readline().strip()
        child.stdout.readline()
        assert store.status(other) == "running"
        child.kill()
        time.sleep(0.05)
        assert store.status(other) == "interrupted", "a zombie does not run"
        child.wait()
        child.stdout.close()
        assert store.status(other) == "interrupted"
        mine.close()
        assert store.status(mine.id) == "interrupted"
        with store.begin() as done:
            done.append(Finished(status="solved", exit_code=0, seconds=1.0))
        assert store.status(done.id) == "solved"
        store._db.execute(
            "UPDATE trajectories SET pid = 1, boot = 'gone:1' WHERE id = ?", [mine.id]
        )
        assert store.status(mine.id) == "interrupted", "the pid belongs to another process now"


def test_killed_writers_lose_nothing_acknowledged(path):
    rng = random.Random(7)
    for group in range(5):
        children = [
            python(HERE / "writer_process.py", path, 10**9, group * 10 + n) for n in range(4)
        ]
        lines = [[child.stdout.readline()] for child in children]
        for child in rng.sample(children, 4):
            time.sleep(rng.uniform(0.0, 0.08))
            child.kill()
        for child, read in zip(children, lines, strict=True):
            read += child.stdout.readlines()
            child.stdout.close()
            child.wait()
        with Store.open(path) as store:
            for name, *acknowledged in lines:
                count = sum(line.endswith("\n") for line in acknowledged)
                kept = list(store.events(name.strip()))
                assert len(kept) in (count, count + 1)
                assert [event.text.split()[0] for event in kept] == [
                    str(seq) for seq in range(len(kept))
                ]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM trajectories").fetchone() == (20,)
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] > 20


def test_many_processes_and_threads_write_at_once(path):
    children = [python(HERE / "writer_process.py", path, 15, n) for n in range(5)]
    with Store.open(path) as store:
        writers = [store.begin() for _ in range(3)]
        shared = store.begin()

        def append(writer):
            for number in range(10):
                writer.append(Observed(tool="t", ok=True, text=str(number)))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(append, [*writers, shared, shared, shared]))
        assert [len(list(store.events(w.id))) for w in (*writers, shared)] == [10, 10, 10, 30]
        for child in children:
            out, _ = child.communicate()
            assert child.returncode == 0
            assert len(list(store.events(out.split()[0]))) == 15


def in_small_file_system(tmp_path, script):
    disk = tmp_path / "disk"
    disk.mkdir(exist_ok=True)
    probe = (
        subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", disk],
            capture_output=True,
            check=False,
        )
        if shutil.which("unshare")
        else None
    )
    if probe is None or probe.returncode:
        pytest.skip("mounting a small file system needs root and unshare")
    mount = 'mount -t tmpfs -o size=700k tmpfs "$1" && shift && ' + script
    return python(
        "-c",
        "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])",
        *("unshare", "-m", "sh", "-ec", mount, "sh", disk, sys.executable),
        *(HERE / "full_disk_process.py", disk / "experience.db", disk / "ballast"),
        stderr=subprocess.STDOUT,
    )


def test_a_full_disk_loses_nothing_and_passes(tmp_path):
    child = in_small_file_system(tmp_path, '"$@"')
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, out
    assert "disk is full" in out


def test_a_file_size_limit_loses_nothing_and_passes(path):
    child = python(HERE / "full_disk_process.py", path, "rlimit", stderr=subprocess.STDOUT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, out


def test_a_read_only_disk_is_an_error_with_a_next_step(tmp_path):
    use = (
        "import sys; from pathlib import Path; from policies.experience.store import *\n"
        "try: Store.open(Path(sys.argv[1])).begin()\n"
        "except StoreError as error: print(error)\n"
    )
    for make in ("true", f'"$1" -c "{use}" "$3"'):
        script = f'{make}; mount -o remount,ro "$(dirname "$3")"; "$1" -c "{use}" "$3"'
        child = in_small_file_system(tmp_path, script)
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0, out
        assert "APPRENTICE_HOME" in out


def test_an_unwritable_place_is_an_error_with_a_next_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="APPRENTICE_HOME"):
        Store.open(tmp_path / "file" / "experience.db")
    with pytest.raises(StoreError, match="APPRENTICE_HOME"):
        Store.open(tmp_path)


def test_a_locked_store_is_an_error_and_the_append_can_be_repeated(path):
    event = Patched(diff="x")
    with Store.open(path, timeout=0.1) as store:
        writer = store.begin()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="try again"):
                writer.append(event)
            other.execute("ROLLBACK")
        writer.append(event)
        assert list(store.events(writer.id)) == [event]


def test_waiting_for_a_lock(path):
    with Store.open(path) as store:
        writer = store.begin()
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, other.execute, ["COMMIT"])
        timer.start()
        writer.append(Patched(diff="x"))
        timer.join()
        other.close()


@pytest.mark.parametrize("damage", ["header", "text", "truncated"])
def test_a_damaged_file_is_reported_and_left_alone(path, damage):
    with Store.open(path) as store, store.begin() as writer:
        for event in trajectory():
            writer.append(event)
    whole = path.read_bytes()
    damaged = {
        "header": bytes(100) + whole[100:],
        "text": b"not a database at all\n" * 300,
        "truncated": whole[:5000],
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="left as it is"), Store.open(path) as store:
        list(store.events(writer.id))
    assert path.read_bytes() == damaged


def test_a_damaged_blob_is_reported(path):
    with Store.open(path) as store, store.begin() as writer:
        writer.append(Patched(diff="x" * 9000))
        store._db.execute("UPDATE blobs SET zstd = ?", [b"junk"])
        with pytest.raises(StoreError, match="missing or damaged"):
            list(store.events(writer.id))
        store._db.execute("DELETE FROM blobs")
        with pytest.raises(StoreError, match="missing or damaged"):
            list(store.events(writer.id))


def test_a_newer_store_and_a_foreign_database_are_refused_untouched(path, tmp_path):
    Store.open(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"store version 99.*upgrade"):
        Store.open(path)
    assert path.read_bytes() == before
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("CREATE TABLE songs (name)")
    before = foreign.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store.open(foreign)
    assert foreign.read_bytes() == before


def test_an_older_store_is_migrated_in_one_step(path, monkeypatch):
    from policies.experience import database

    event = Patched(diff="kept")
    with Store.open(path) as store, store.begin() as writer:
        writer.append(event)
    monkeypatch.setattr(database, "STORE_VERSION", 2)

    def fails(db):
        db.execute("ALTER TABLE trajectories ADD COLUMN note TEXT")
        raise sqlite3.OperationalError("power cut")

    monkeypatch.setattr(database, "MIGRATIONS", {1: fails})
    with pytest.raises(StoreError, match="power cut"):
        Store.open(path)
    monkeypatch.setattr(
        database,
        "MIGRATIONS",
        {1: lambda db: db.execute("ALTER TABLE trajectories ADD COLUMN note TEXT")},
    )
    with Store.open(path) as store:
        assert list(store.events(writer.id)) == [event]
        assert store._db.execute("PRAGMA user_version").fetchone() == (2,)
    with Store.open(path) as store:
        assert store._db.execute("SELECT note FROM trajectories").fetchone() == (None,)


def test_an_event_of_a_newer_apprentice_is_reported(path):
    with Store.open(path) as store, store.begin() as writer:
        writer.append(Patched(diff="x"))
        store._db.execute("UPDATE events SET body = json_set(body, '$.v', 3, '$.kind', 'dreamt')")
        with pytest.raises(StoreError, match=r"event 0: the event 'dreamt' of schema version 3"):
            list(store.events(writer.id))


def _use(store, results):
    try:
        store.begin()
    except StoreError as error:
        results.put(str(error))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_store_is_not_used_across_a_fork(path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with Store.open(path) as store:
        child = context.Process(target=_use, args=(store, results))
        child.start()
        assert "fork" in results.get(timeout=10)
        child.join()
    results.close()
    results.join_thread()


def test_a_closed_store_raises_cleanly(path):
    store = Store.open(path)
    writer = store.begin()
    store.close()
    store.close()
    with pytest.raises(StoreError):
        writer.append(Patched(diff=""))
