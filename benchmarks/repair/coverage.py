"""Coverage against the number of samples: how many tasks any of k conversations solves.

    python benchmarks/repair/coverage.py TASKS.jsonl --split dev --limit 20 --samples 16

First `--samples` independent conversations of each task, at one temperature; then one run that may
take as many attempts and stops at the first verified one, which says how much of the coverage
selection turns into solved tasks. Prints a table with a fitted power law and draws it. A run that
was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation import evaluate, parser

from agent.evaluate.report import scored
from agent.evaluate.results import Result
from agent.evaluate.statistics import PowerLaw, pass_at_k, power_law

SHOWN = (1, 2, 4, 8, 16, 32, 64)
RESAMPLED = 1000
SAMPLED = {"APPRENTICE_STRATEGIES": "conversation", "APPRENTICE_EXPLORE": "true"}
SELECTED = {"APPRENTICE_STRATEGIES": "conversation"}


def main() -> int:
    """Evaluate what has not been evaluated, then report."""
    made = parser(__doc__, "coverage", seconds=60.0)
    made.add_argument("--samples", type=int, default=16)
    options = made.parse_args()
    most = options.samples
    drawn = _evaluate(options, "samples", SAMPLED, samples=most, attempts=1)
    chosen = _evaluate(options, "selected", SELECTED, samples=1, attempts=most)
    report(drawn, chosen, options.out)
    return 0


def report(drawn: Sequence[Result], chosen: Sequence[Result], out: Path) -> None:
    """Print the curve with its fit, and write it as JSON and PNG."""
    tasks = {name: (len(seen), sum(seen)) for name, seen in scored(drawn).items()}
    most = min((n for n, _ in tasks.values()), default=0)
    if not most:
        raise SystemExit("no sample was scored")
    curve = coverage(list(tasks.values()), most)
    law = power_law(curve)
    low, high = exponents(list(tasks.values()), most)
    covered = {name for name, (_, c) in tasks.items() if c}
    solved = {name for name, seen in scored(chosen).items() if any(seen)}
    print(f"{len(tasks)} tasks, {most} samples each\n\n| k | coverage | power law |\n|---|---|---|")
    for k in (k for k in SHOWN if k <= most):
        fitted = f"{100 * law.at(k):.1f} %" if law else ""
        print(f"| {k} | {100 * curve[k]:.1f} % | {fitted} |")
    if law is not None:
        print(f"\nc(k) = exp({law.a:.3f}·k^{law.b:.3f}); 95 % of b: {low:.3f} to {high:.3f}")
    both = len(solved & covered)
    print(
        f"Selection solved {len(solved)} tasks, {both} of the {len(covered)} that a sample solves."
    )
    found = {
        "tasks": len(tasks),
        "samples": most,
        "coverage": curve,
        "a": law.a if law else None,
        "b": law.b if law else None,
        "b_interval": [low, high],
        "covered": len(covered),
        "selected": len(solved),
    }
    (out / "coverage.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    _draw(curve, law, out / "coverage.png")


def coverage(tasks: Sequence[tuple[int, int]], most: int) -> dict[int, float]:
    """pass@k for k from 1 to `most`, of tasks with (samples, solved ones)."""
    return {k: sum(pass_at_k(n, c, k) for n, c in tasks) / len(tasks) for k in range(1, most + 1)}


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


def _evaluate(
    options: argparse.Namespace,
    name: str,
    settings: Mapping[str, str],
    *,
    samples: int,
    attempts: int,
) -> list[Result]:
    limits = ["--samples", samples, "--attempts", attempts, "--budget-tokens", 10_000 * attempts]
    seconds = attempts * options.seconds
    return evaluate(options, options.out / name, *limits, seconds=seconds, env=settings)


def _draw(curve: Mapping[int, float], law: PowerLaw | None, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(list(curve), list(curve.values()), "o", label="measured")
    if law is not None:
        axes.plot(list(curve), [law.at(k) for k in curve], "-", label="power law")
    axes.set(
        xlabel="samples k", ylabel="share of tasks that a sample solves", xscale="log", ylim=(0, 1)
    )
    axes.set_xticks([k for k in SHOWN if k <= max(curve)], minor=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
