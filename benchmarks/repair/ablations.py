"""What each part of solving brings: the same tasks with parts switched off.

    python benchmarks/repair/ablations.py TASKS.jsonl --split dev --limit 20 --seconds 240

Each row is an evaluation of its own (`agent eval`) with other settings. A run that was stopped goes
on; `--only NAME` runs some of the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

PART = "WITHOUT_PART"
STRATEGIES = "APPRENTICE_STRATEGIES"
ROWS = {
    "all": {},
    "without search": {STRATEGIES: "infill,conversation"},
    "without infilling": {STRATEGIES: "search,conversation"},
    "without conversation": {STRATEGIES: "search,infill"},
    "without localisation": {PART: "localisation"},
    "without the policy's choice": {PART: "choice"},
    "search alone": {STRATEGIES: "search"},
    "infilling alone": {STRATEGIES: "infill"},
    "infilling, one sample a place": {STRATEGIES: "infill", PART: "samples"},
    "conversation alone": {STRATEGIES: "conversation"},
    "conversation, no critique": {STRATEGIES: "conversation", "APPRENTICE_ROUNDS": "1"},
    "conversation, no grammar": {STRATEGIES: "conversation", PART: "grammar"},
}


def main() -> int:
    """Evaluate what has not been evaluated, then print the table."""
    options = _parser().parse_args()
    names = options.only or list(ROWS)
    for name in names:
        _evaluate(options, name)
    print("| | solved | median seconds | tokens sampled, median | of them out of time |")
    print("|---|---|---|---|---|")
    for name in names:
        print(_row(name, _folder(options, name)))
    return 0


def _evaluate(options: argparse.Namespace, name: str) -> None:
    command = [sys.executable, "-m", "agent", "eval", options.tasks, "--model", options.model]
    command += ["--timeout", options.seconds, "--sandbox", "bubblewrap", "--no-plots"]
    command += ["--out", _folder(options, name)]
    if options.split:
        command += ["--split", options.split]
    if options.limit:
        command += ["--limit", options.limit]
    folders = [str(Path(__file__).parent / "without"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, **ROWS[name], "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    done = subprocess.run([*map(str, command)], env=env)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{name} could not be evaluated")


def _folder(options: argparse.Namespace, name: str) -> Path:
    return Path(options.out) / re.sub(r"\W+", "-", name)


def _row(name: str, folder: Path) -> str:
    text = (folder / "results.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    scored = [row for row in rows if row["resolved"] is not None]
    solved = [row for row in scored if row["resolved"]]
    seconds = sorted(row["seconds"] for row in scored)
    tokens = sorted(row["completion_tokens"] for row in scored)
    late = sum(row["failure"] == "out of time" for row in scored)
    middle = len(scored) // 2
    return (
        f"| {name} | {len(solved)} of {len(scored)} | {seconds[middle]:.0f} | "
        f"{tokens[middle]:,} | {late} |"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--split", choices=["train", "dev", "heldout"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--only", nargs="*", choices=list(ROWS))
    parser.add_argument("--out", type=Path, default=Path("results") / "ablations")
    return parser


if __name__ == "__main__":
    sys.exit(main())
