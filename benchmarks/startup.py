"""How long `agent --help` takes as a whole process, and what it imports.

python benchmarks/startup.py [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

HEAVY = (
    "torch",
    "transformers",
    "litellm",
    "xllamacpp",
    "docker",
    "git",
    "tree_sitter",
    "pydantic",
)


def main() -> None:
    """Time the command and a bare interpreter in turn, and list heavy imports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    agent = [str(Path(sys.executable).with_name("agent")), "--help"]
    bare = [sys.executable, "-c", "pass"]
    times: dict[str, list[float]] = {"agent --help": [], "python -c pass": []}
    for run in range(options.runs + 1):
        for name, command in (("agent --help", agent), ("python -c pass", bare)):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if run:
                times[name].append(time.perf_counter() - start)
    probe = "import sys, agent.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    heavy = sorted(set(HEAVY) & set(loaded.stdout.split()))
    medians = {name: round(statistics.median(values), 3) for name, values in times.items()}
    if options.json:
        print(json.dumps({"median_seconds": medians, "runs": options.runs, "heavy_imports": heavy}))
        return
    for name, value in medians.items():
        print(f"{name:<16} {value:.3f} s (median of {options.runs})")
    print(f"heavy imports: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
