"""What a solve spends outside model and tests, and how much of its prompts the KV cache serves.

    python benchmarks/solve_overhead.py [--runs N] [--model NAME] [--sandbox KIND] [--env VENV]

Solves the bundled example again and again with different seeds, by conversation alone, and reads
the stored trajectories.
Overhead is wall time that is neither the model's nor the tests', as a share of the solve. The cache
share is that of all prompt tokens in an attempt's rounds after its first. The prefix share is that
of the tokens which the engine had seen before, as an earlier prompt and its completion.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from policies.experience.events import Finished, Sampled
from policies.experience.store import Store

EXAMPLE = Path(__file__).parent.parent / "examples" / "shop"


def solve(folder: Path, seed: int, options: list[str]) -> str:
    """Solve the example once in a fresh repository; returns the trajectory id."""
    shop = folder / f"shop-{seed}"
    shutil.copytree(EXAMPLE, shop, ignore=shutil.ignore_patterns("ISSUE.txt", "__pycache__"))
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", "-C", str(shop)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *command], check=True)
    agent = str(Path(sys.executable).with_name("agent"))
    issue = str(EXAMPLE / "ISSUE.txt")
    base = [agent, "solve", "--issue-file", issue, "--repo", str(shop), "--json"]
    command = [*base, "--seed", str(seed), *options]
    environment = {**os.environ, "APPRENTICE_STRATEGIES": "conversation"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return str(json.loads(done.stdout)["trajectory"])


def main() -> None:
    """Run, read back, report medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options, rest = parser.parse_known_args()
    overheads, shares, prefixes, walls, solved = [], [], [], [], 0
    with tempfile.TemporaryDirectory() as folder, Store.open() as store:
        for seed in range(options.runs):
            events = list(store.events(solve(Path(folder), seed, rest)))
            end = next(event for event in events if isinstance(event, Finished))
            solved += end.exit_code == 0
            walls.append(end.seconds)
            overheads.append((end.seconds - end.model_seconds - end.test_seconds) / end.seconds)
            samples = [event for event in events if isinstance(event, Sampled)]
            later = [sample.usage for sample in samples if sample.round]
            if total := sum(usage.prompt for usage in later):
                shares.append(sum(usage.cached for usage in later) / total)
            known = [sample for sample in samples if sample.prefix_length]
            if total := sum(sample.prefix_length for sample in known):
                prefixes.append(sum(sample.usage.cached for sample in known) / total)
    report = {
        "runs": options.runs,
        "solved": solved,
        "median_seconds": round(statistics.median(walls), 2),
        "median_overhead_share": round(statistics.median(overheads), 4),
        "median_cached_share_after_first": round(statistics.median(shares), 4) if shares else None,
        "median_cached_share_of_prefixes": round(statistics.median(prefixes), 4)
        if prefixes
        else None,
    }
    print(json.dumps(report) if options.json else "\n".join(f"{k}: {v}" for k, v in report.items()))


if __name__ == "__main__":
    main()
