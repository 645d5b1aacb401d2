"""Switch each defence off in turn, and show that a test then fails.

    python -m tests.redteam.switch_off [NAME ...]

Works on copies of the tracked files. The exit code is 1 when a defence can go without a failure.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.redteam.defences import DEFENCES, Defence

ROOT = Path(__file__).parents[2]
SECONDS = 600
FAILED, BROKEN = 1, re.compile(r"^(FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Shown:
    """What happened without a defence. `failed` is the first test that noticed."""

    name: str
    failed: str
    problem: str = ""


def main(names: Sequence[str]) -> int:
    """Print a line for each defence."""
    chosen = [defence for defence in DEFENCES if not names or defence.name in names]
    with ThreadPoolExecutor(2) as pool:
        shown = []
        for one in pool.map(without, chosen):
            shown.append(one)
            print(f"{one.name}: {one.failed or 'NOTHING FAILS ' + one.problem}", flush=True)
    unseen = [one.name for one in shown if not one.failed]
    print(f"{len(shown) - len(unseen)} of {len(shown)} defences are held by a test {unseen}")
    return bool(unseen) or not shown


def without(defence: Defence) -> Shown:
    """Run its test on a copy that lacks the defence."""
    with tempfile.TemporaryDirectory(prefix="apprentice-") as name:
        folder = Path(name)
        _copy(folder)
        path = folder / defence.path
        source = path.read_text(encoding="utf-8")
        if source.count(defence.old) != 1:
            return Shown(defence.name, "", f"({defence.path} has not exactly one {defence.old!r})")
        path.write_text(source.replace(defence.old, defence.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, defence.test],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    noticed = BROKEN.search(done.stdout)
    if done.returncode != FAILED or noticed is None:
        return Shown(defence.name, "", f"(pytest ended with {done.returncode})")
    return Shown(defence.name, noticed[2])


def _copy(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode & 0o777)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
