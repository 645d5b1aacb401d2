"""What the measurements of solving share: their options, and a run of `agent eval`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.evaluate.records import RESULTS, latest
from agent.evaluate.results import Result
from agent.tasks.journal import Journal


def parser(doc: str | None, name: str, *, seconds: float) -> argparse.ArgumentParser:
    """Which tasks, by which model, for how long; `name` is the default folder of the results."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n", 1)[0])
    made.add_argument("tasks", type=Path)
    made.add_argument("--split", choices=["train", "dev", "heldout"], default="dev")
    made.add_argument("--limit", type=int, default=20)
    made.add_argument("--seconds", type=float, default=seconds, help="of a sample")
    made.add_argument("--model", default="qwen2.5-coder-1.5b")
    made.add_argument("--sandbox", choices=["bubblewrap", "docker"], default="bubblewrap")
    made.add_argument("--out", type=Path, default=Path("results") / name)
    return made


def evaluate(
    options: argparse.Namespace,
    folder: Path,
    *more: str | float,
    seconds: float | None = None,
    env: Mapping[str, str] = {},
) -> list[Result]:
    """The last row of each sample; what stands in the folder is not run again."""
    command = [sys.executable, "-m", "agent", "eval", options.tasks, "--model", options.model]
    command += ["--split", options.split, "--limit", options.limit]
    command += ["--timeout", options.seconds if seconds is None else seconds]
    command += ["--sandbox", options.sandbox, "--no-plots", "--out", folder, *more]
    done = subprocess.run([*map(str, command)], env={**os.environ, **env})
    if done.returncode not in (0, 1):
        raise SystemExit(f"{folder} could not be evaluated")
    return list(latest(Journal(folder / RESULTS, Result)).values())
