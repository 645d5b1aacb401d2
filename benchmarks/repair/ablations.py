"""What each part of solving brings: the same tasks with parts switched off.

    python benchmarks/repair/ablations.py TASKS.jsonl --split dev --limit 20 --seconds 240

Each row is an evaluation of its own (`agent eval`) with other settings. A run that was stopped goes
on; `--only NAME` runs some of the rows.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from evaluation import evaluate, parser

from agent.evaluate.results import Result

PART = "WITHOUT_PART"
STRATEGIES = "APPRENTICE_STRATEGIES"
ROWS = {
    "all": {},
    "without search": {STRATEGIES: "infill,conversation"},
    "without infilling": {STRATEGIES: "search,conversation"},
    "without conversation": {STRATEGIES: "search,infill"},
    "without localisation": {PART: "localisation"},
    "without the policy's choice": {PART: "choice"},
    "without comparison": {PART: "comparison"},
    "search alone": {STRATEGIES: "search"},
    "infilling alone": {STRATEGIES: "infill"},
    "infilling, one sample a place": {STRATEGIES: "infill", PART: "samples"},
    "conversation alone": {STRATEGIES: "conversation"},
    "conversation, no critique": {STRATEGIES: "conversation", "APPRENTICE_ROUNDS": "1"},
    "conversation, no grammar": {STRATEGIES: "conversation", PART: "grammar"},
}


def main() -> int:
    """Evaluate what has not been evaluated, then print the table."""
    made = parser(__doc__, "ablations", seconds=240.0)
    made.add_argument("--only", nargs="*", choices=list(ROWS))
    options = made.parse_args()
    rows = {name: _evaluate(options, name) for name in options.only or ROWS}
    print("| | solved | median seconds | tokens sampled, median | of them out of time |")
    print("|---|---|---|---|---|")
    for name, results in rows.items():
        print(_row(name, results))
    return 0


def _evaluate(options: argparse.Namespace, name: str) -> list[Result]:
    folders = [str(Path(__file__).parent / "without"), os.environ.get("PYTHONPATH", "")]
    env = {**ROWS[name], "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    return evaluate(options, options.out / re.sub(r"\W+", "-", name), env=env)


def _row(name: str, results: Sequence[Result]) -> str:
    scored = [row for row in results if row.resolved is not None]
    solved = sum(bool(row.resolved) for row in scored)
    if not scored:
        return f"| {name} | none could be scored | | | |"
    seconds = [row.seconds for row in scored]
    tokens = [row.completion_tokens for row in scored]
    late = sum(row.failure == "out of time" for row in scored)
    return (
        f"| {name} | {solved} of {len(scored)} | {median(seconds):.0f} | "
        f"{median(tokens):,.0f} | {late} |"
    )


if __name__ == "__main__":
    sys.exit(main())
