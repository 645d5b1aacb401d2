"""Coverage against the number of samples: how many tasks any of k answers solves.

    python benchmarks/repair/coverage.py TASKS.jsonl --split dev --limit 24

First `--samples` answers for each task whose known fix fills one place, there (`agent rollout
--known-places --even`); then one run of `agent eval` for each of these tasks, which finds
places by itself and stops at the first verified answer: how much of the coverage does it turn into
solved tasks? Prints a table with a fitted power law and draws it. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation import evaluate, parser

from agent.evaluate.report import curve_of
from agent.evaluate.results import Result
from agent.evaluate.statistics import PowerLaw, power_law
from agent.infill import SAMPLES_OF_KNOWN
from agent.rollout.report import Rolled

SHOWN = (1, 2, 4, 8, 16, 32, 64)
RESAMPLED = 1000
INFILLING = {"APPRENTICE_STRATEGIES": "infill"}


def main() -> int:
    """Sample and evaluate what has not been, then report."""
    made = parser(__doc__, "coverage", seconds=120.0)
    made.add_argument("--samples", type=int, default=16)
    options = made.parse_args()
    answers = _sampled(options)
    ids = ["--ids", ",".join(answers)]
    chosen = evaluate(options, options.out / "selected", *ids, env=INFILLING)
    report(answers, chosen, options.samples, options.out)
    return 0


def _sampled(options: argparse.Namespace) -> dict[str, tuple[int, int]]:
    """By task, the answers that were scored, and those that solve it."""
    attempts = math.ceil(options.samples / SAMPLES_OF_KNOWN)
    command = [sys.executable, "-m", "agent", "rollout", options.tasks, "--known-places", "--even"]
    command += ["--split", options.split, "--limit", options.limit, "--model", options.model]
    command += ["--samples", attempts, "--timeout", options.seconds, "--sandbox", options.sandbox]
    command += ["--strategies", "infill", "--rounds", 1, "--out", options.out / "samples", "--json"]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise SystemExit(done.stdout.strip() or "nothing could be sampled")
    rolled = Rolled.model_validate_json(done.stdout.splitlines()[-1])
    answers = {task: counts for task, counts in rolled.answers.items() if counts[0]}
    if not answers:
        raise SystemExit("no answer was scored")
    if len(answers) < rolled.tasks:
        print(f"left out, as no answer was scored: {rolled.tasks - len(answers)}", file=sys.stderr)
    return answers


def report(
    answers: Mapping[str, tuple[int, int]], chosen: Sequence[Result], samples: int, out: Path
) -> None:
    """Print the curve with its fit, and write it as JSON and PNG."""
    tasks = list(answers.values())
    curve = coverage(tasks, samples)
    law = power_law(curve)
    low, high = exponents(tasks, samples)
    covered = {name for name, (_, c) in answers.items() if c}
    solved = {row.instance_id for row in chosen if row.resolved}
    print(f"{len(tasks)} tasks, {samples} answers each\n")
    print("| k | coverage | power law |\n|---|---|---|")
    for k in (k for k in SHOWN if k <= samples):
        fitted = f"{100 * law.at(k):.1f} %" if law else ""
        print(f"| {k} | {100 * curve[k]:.1f} % | {fitted} |")
    if law is not None:
        print(f"\nc(k) = exp({law.a:.3f}·k^{law.b:.3f}); 95 % of b: {low:.3f} to {high:.3f}")
    print(
        f"{len(covered)} tasks are solved by an answer at the known place; a run that finds places "
        f"by itself solves {len(solved)}, {len(solved & covered)} of them."
    )
    found = {
        "tasks": len(tasks),
        "samples": samples,
        "coverage": curve,
        "a": law.a if law else None,
        "b": law.b if law else None,
        "b_interval": [low, high],
        "covered": len(covered),
        "selected": len(solved),
        "both": len(solved & covered),
    }
    (out / "coverage.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    _draw(curve, law, out / "coverage.png")


def coverage(tasks: Sequence[tuple[int, int]], most: int) -> dict[int, float]:
    """pass@k for k from 1 to `most`, of tasks with (samples, solved ones).

    A task with fewer than k scored ones counts with all.
    """
    return {at.k: at.estimate for at in curve_of(tasks, most, all_tasks=True)}


def exponents(tasks: Sequence[tuple[int, int]], most: int) -> tuple[float, float]:
    """A 95 % interval of the law's exponent, by drawing tasks anew (Efron, 1979)."""
    draw = random.Random(0)
    found = []
    for _ in range(RESAMPLED):
        law = power_law(coverage(draw.choices(tasks, k=len(tasks)), most))
        if law is not None:
            found.append(law.b)
    found.sort()
    return (found[int(0.025 * len(found))], found[int(0.975 * len(found))]) if found else (0.0, 0.0)


def _draw(curve: Mapping[int, float], law: PowerLaw | None, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(list(curve), list(curve.values()), "o", label="measured")
    if law is not None:
        axes.plot(list(curve), [law.at(k) for k in curve], "-", label="power law")
    axes.set(
        xlabel="answers k", ylabel="share of tasks that one of k solves", xscale="log", ylim=(0, 1)
    )
    axes.set_xticks([k for k in SHOWN if k <= max(curve)], minor=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
