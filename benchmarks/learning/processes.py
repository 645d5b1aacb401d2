"""Each variant in a process of its own, so that peaks do not mix."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.learning.variants import arguments


def run(description: str, names: Sequence[str]) -> tuple[argparse.Namespace, list[dict[str, Any]]]:
    """What a program here does first: read its options and measure. With `--json` that is all."""
    parser = arguments(description)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    reports = measure(names, options)
    if options.json:
        print(json.dumps(reports))
        raise SystemExit(0)
    return options, reports


def measure(variants: Sequence[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The reports of some variants, one after the other."""
    command = [sys.executable, "-m", "benchmarks.learning.variants", options.model]
    for name in ("samples", "prompt", "completion", "steps", "dtype", "device"):
        command += [f"--{name}", str(getattr(options, name))]
    if options.checkpointing:
        command.append("--checkpointing")
    reports = []
    for variant in variants:
        done = subprocess.run([*command, "--variant", variant], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{variant}: exit code {done.returncode}")
        reports.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{variant}: done", file=sys.stderr, flush=True)
    return reports


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table of Markdown; the first holds the titles."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
