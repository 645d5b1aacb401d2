"""Kills `agent solve` at random moments, and looks at what is left of the user's work.

    python benchmarks/faults/kill.py [--times N] [--seed N] [--jobs N] [--sandbox KIND] [--out FILE]

Each run works on a copy of the bundled example with uncommitted work of all kinds, and is killed by
SIGKILL: at any moment of its normal time, every third while it delivers its patch of three files.
Then: the tree must be as it was or wholly patched, the store whole and with every event that was
shown, no process may live on for 5 seconds, and the next run must work and leave nothing behind.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from work import State, Tree, is_scratch, make_work, state_of, tree_of

from agent.ui.lines import line
from policies.experience.store import Store

ISSUE = "page(items, 1) returns the second page"
PASSING = "tests/test_shop.py::test_basket"
GONE_SECONDS = 5.0
RUN_SECONDS = 300.0
SUBREAPER = 36
STAGES = ("task", "sandbox", "tests", "suspects", "plan", "edit", "patch", "verdict", "applied")

CALLS: tuple[tuple[str, dict[str, str]], ...] = (
    ("plan", {"cause": "the first page has number 1", "symbol": "shop/catalogue.py::page"}),
    (
        "replace_text",
        {
            "path": "shop/catalogue.py",
            "old": "    start = number * size",
            "new": "    start = (number - 1) * size",
        },
    ),
    (
        "replace_text",
        {"path": "shop/basket.py", "old": "rounded down.", "new": "rounded down to whole cents."},
    ),
    ("create_file", {"path": "shop/paging/first.py", "content": "FIRST = 1"}),
    ("submit", {}),
)
SCRIPT = {
    "calls_tools": True,
    "replies": [
        {"tool_calls": [{"name": name, "arguments": arguments}]} for name, arguments in CALLS
    ],
}


@dataclass(frozen=True)
class Usual:
    """A run that nobody kills: seconds to its end and to its delivery, and what it changes."""

    seconds: float
    delivery: float
    patch: Tree


@dataclass(frozen=True)
class Order:
    """When a run is to be killed: `moment` is a share of the whole run, or of its delivery."""

    number: int
    moment: float
    delivering: bool


@dataclass
class Found:
    """What a killed run has left. `problems` break a promise; seconds are since the start."""

    number: int
    delivering: bool
    seconds: float = 0.0
    ended: bool = False
    stage: str = "start"
    state: State = "untouched"
    state_later: State = "untouched"
    scratch: int = 0
    shown: int = 0
    problems: list[str] = field(default_factory=list)


class Place:
    """A repository with a user's work in it, and a data folder of its own."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.folder, self.options = folder, list(options)
        self.repo = folder / "shop"
        self.home = folder / "home"
        self.tmp = folder / "tmp"
        self.home.mkdir(parents=True)
        self.tmp.mkdir()
        (folder / "script.json").write_text(json.dumps(SCRIPT))

    def command(self, *more: str) -> list[str]:
        """`agent solve` on the repository."""
        model = f"scripted:{self.folder / 'script.json'}"
        base = [sys.executable, "-m", "agent", "solve", ISSUE, "--repo", str(self.repo)]
        return [*base, "--model", model, *self.options, *more]

    def environment(self) -> dict[str, str]:
        """This process's variables, with the data and the temporary folder of the place."""
        home = str(self.home)
        config = str(self.home / "config.toml")
        own = {"APPRENTICE_HOME": home, "APPRENTICE_CONFIG": config, "TMPDIR": str(self.tmp)}
        return {**os.environ, **own}


class Watched:
    """A started `agent solve` and the lines that it shows."""

    def __init__(self, place: Place) -> None:
        self.start = time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self.verdict = threading.Event()
        self.process = subprocess.Popen(
            place.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=place.environment(),
            process_group=0,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            if text.endswith("\n"):
                self.lines.append((time.monotonic() - self.start, text.removesuffix("\n")))
            if text.startswith("verdict"):
                self.verdict.set()
        self.verdict.set()

    def shown(self) -> list[str]:
        """The lines about events; other programs' lines may come before them."""
        texts = [text for _, text in self.lines]
        first = next((n for n, text in enumerate(texts) if text.startswith("task ")), len(texts))
        return texts[first:]

    def kill(self, moment: float, *, from_verdict: bool) -> bool:
        """Kill it after so many seconds, or so many after its verdict; False if it had ended."""
        if from_verdict:
            self.verdict.wait(RUN_SECONDS)
            time.sleep(moment)
        else:
            time.sleep(max(0.0, moment - (time.monotonic() - self.start)))
        ended = self.process.poll() is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()
        return not ended


def adopt_orphans() -> None:
    """Make this process the parent of what its children leave behind (Linux)."""
    if ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def survivors(seconds: float) -> list[str]:
    """Names of descendants that are alive after so many seconds; none as soon as all are gone."""
    deadline = time.monotonic() + seconds
    while True:
        for child in psutil.Process().children(recursive=True):
            try:
                if child.status() == psutil.STATUS_ZOMBIE and child.ppid() == os.getpid():
                    os.waitpid(child.pid, os.WNOHANG)
            except (psutil.NoSuchProcess, ChildProcessError):
                continue
        left = psutil.Process().children(recursive=True)
        if not left or time.monotonic() > deadline:
            return [child.name() for child in left if child.is_running()]
        time.sleep(0.02)


def check_store(place: Place, shown: list[str], found: Found) -> None:
    """The store is whole, and every line that was shown is of an event that it holds."""
    path = place.home / "experience.db"
    if not path.exists():
        if shown:
            found.problems.append("events were shown and there is no store")
        return
    with closing(sqlite3.connect(path)) as db:
        verdict = db.execute("PRAGMA integrity_check").fetchone()
    if verdict != ("ok",):
        found.problems.append(f"the store is damaged: {verdict}")
        return
    with Store.open(path) as store:
        runs = store.trajectories()
        events = list(store.events(runs[0].id)) if runs else []
    stored = [text for text in map(line, events) if text]
    found.shown += len(shown)
    if stored[: len(shown)] != shown:
        found.problems.append(f"lost of {len(shown)} shown events: {set(shown) - set(stored)}")
    if runs and not found.ended and runs[0].status not in ("interrupted", "verified"):
        found.problems.append(f"the killed run counts as {runs[0].status!r}")


def check_tree(place: Place, before: Tree, usual: Usual, shown: list[str], found: Found) -> None:
    """The tree is as it was, or wholly patched once there was a verdict."""
    now = tree_of(place.repo)
    found.state = state_of(now, before, usual.patch)
    found.scratch = sum(map(is_scratch, now))
    begun = any(text.startswith("verdict") for text in shown)
    applied = any(text.startswith("applied") for text in shown)
    # The event of the verdict is in the store before its line is shown.
    if found.state == "damaged" or (not begun and (found.state != "untouched" or found.scratch)):
        changed = [path for path in {*now, *before} if now.get(path) != before.get(path)]
        found.problems.append(f"the tree is {found.state}: {sorted(changed)}")
    if applied and found.state != "patched":
        found.problems.append(f"the patch was shown as applied, and the tree is {found.state}")


def check_next(place: Place, before: Tree, usual: Usual, found: Found) -> None:
    """The next run works, and after it nothing is left of the killed one."""
    done = subprocess.run(
        place.command("--test", PASSING, "--json"),
        capture_output=True,
        text=True,
        env=place.environment(),
        timeout=RUN_SECONDS,
    )
    report = json.loads(done.stdout or "{}")
    if report.get("status") != "nothing_to_do":
        found.problems.append(f"the next run: {report.get('message')} {done.stderr[-300:]}")
    now = tree_of(place.repo)
    found.state_later = state_of(now, before, usual.patch)
    if found.state_later not in ("untouched", "patched"):
        found.problems.append(f"after the next run the tree is {found.state_later}")
    left = [path for path in now if is_scratch(path)]
    left += [path.name for path in place.tmp.iterdir()]
    if left:
        found.problems.append(f"after the next run there are left: {left}")


def containers_of(pid: int) -> list[str]:
    """Containers that a client of this process id has made."""
    import docker

    with closing(docker.from_env()) as engine:
        rows = engine.api.containers(all=True, filters={"label": "apprentice=1"})
    mine = [
        row for row in rows if row["Labels"].get("apprentice.client", "").split()[:1] == [str(pid)]
    ]
    return [str(row["Id"])[:12] for row in mine]


def measure(template: Path, folder: Path, options: Sequence[str]) -> Usual:
    """Let one run come to its end. Raises RuntimeError when it does not solve its task."""
    place = Place(folder, options)
    shutil.copytree(template, place.repo, symlinks=True)
    before = tree_of(place.repo)
    watched = Watched(place)
    code = watched.process.wait(RUN_SECONDS)
    seconds = time.monotonic() - watched.start
    watched.reader.join()
    times = {text.split()[0]: at for at, text in watched.lines if text.split()}
    if code or "applied" not in times:
        raise RuntimeError(f"a run that nobody killed failed: {watched.lines[-3:]}")
    after = tree_of(place.repo)
    patch = {path: entry for path, entry in after.items() if before.get(path) != entry}
    return Usual(seconds, times["applied"] - times["verdict"], patch)


def kill_one(order: Order, usual: Usual, template: Path, options: Sequence[str]) -> Found:
    """Kill one run and look at what it leaves."""
    found = Found(order.number, order.delivering)
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        place = Place(Path(folder), options)
        shutil.copytree(template, place.repo, symlinks=True)
        before = tree_of(place.repo)
        watched = Watched(place)
        length = usual.delivery * 1.5 if order.delivering else usual.seconds * 1.1
        killed = watched.kill(order.moment * length, from_verdict=order.delivering)
        found.seconds, found.ended = round(time.monotonic() - watched.start, 3), not killed
        shown = watched.shown()
        names = [text.split()[0] for text in shown if text.split()]
        found.stage = next((name for name in reversed(names) if name in STAGES), "start")
        if alive := survivors(GONE_SECONDS):
            found.problems.append(f"alive {GONE_SECONDS:.0f} s later: {alive}")
        check_tree(place, before, usual, shown, found)
        check_store(place, shown, found)
        check_next(place, before, usual, found)
        if "docker" in options and (left := containers_of(watched.process.pid)):
            found.problems.append(f"after the next run there are containers: {left}")
    return found


def orders(seed: int) -> Iterator[Order]:
    """When each run is killed, without end; the same for the same seed."""
    rng = random.Random(seed)
    for n in itertools.count():
        yield Order(n, rng.random(), delivering=n % 3 == 2)


def kill_until(
    times: int, drawn: Iterator[Order], kill: Callable[[Order], Future[Found]]
) -> list[Found]:
    """Start runs until so many were killed; those that ended before their kill come on top."""
    rows: list[Found] = []
    while left := times - sum(not row.ended for row in rows):
        futures = [kill(order) for order in itertools.islice(drawn, left)]
        rows += [future.result() for future in futures]
    return rows


def summary(rows: Sequence[Found]) -> dict[str, Any]:
    """Counts over all runs."""
    return {
        "kills": sum(not row.ended for row in rows),
        "ended before the kill": sum(row.ended for row in rows),
        "aimed at the delivery": sum(row.delivering for row in rows),
        "last shown": dict(Counter(row.stage for row in rows)),
        "tree after the kill": dict(Counter(row.state for row in rows)),
        "tree after the next run": dict(Counter(row.state_later for row in rows)),
        "kills that left files of a delivery": sum(row.scratch > 0 for row in rows),
        "shown events, all in the store": sum(row.shown for row in rows),
        "runs with a problem": sum(bool(row.problems) for row in rows),
    }


def main() -> int:
    """Kill, look, and print counts; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="kills that hit a run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sandbox", default="bubblewrap")
    parser.add_argument("--env", default=sys.prefix, help="the environment of the tests")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    options = ["--sandbox", given.sandbox, "--env", given.env]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        template = Path(folder) / "template"
        make_work(template)
        measure(template, Path(folder) / "first", options)  # fills the caches of disk and engine
        usual = measure(template, Path(folder) / "usual", options)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(given.jobs, spawn, initializer=adopt_orphans) as pool:
            rows = kill_until(
                given.times,
                orders(given.seed),
                lambda order: pool.submit(kill_one, order, usual, template, options),
            )
    counts = summary(rows)
    for name, value in counts.items():
        print(f"{name:<36} {value}")
    for row in rows:
        for problem in row.problems:
            print(f"  run {row.number}, {row.seconds} s, after {row.stage!r}: {problem}")
    if given.out:
        report = {
            "schema": 1,
            "seed": given.seed,
            "sandbox": given.sandbox,
            "seconds": round(time.monotonic() - begun, 1),
            "usual_seconds": round(usual.seconds, 2),
            "usual_delivery_seconds": round(usual.delivery, 4),
            "counts": counts,
            "runs": [asdict(row) for row in rows],
        }
        given.out.write_text(json.dumps(report, indent=1) + "\n")
    return int(any(row.problems for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
