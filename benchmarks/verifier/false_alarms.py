"""Honest patches before the verifier: how many does it reject?

    python benchmarks/verifier/false_alarms.py TASKS.jsonl [--limit 100] [--sandbox bubblewrap]

Each patch is the known fix of a task made by `agent tasks make`, judged as a policy's would be:
baseline of the broken tree, tests, signs of tampering, control run. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from agent.config import load_settings
from agent.evaluate.score import environment_of
from agent.tasks.baseline import seeded
from agent.tasks.choose import choose
from agent.tasks.environment import with_environment
from agent.tasks.instance import Instance, read_instances
from agent.tasks.tree import capture_of
from agent.verify.outcomes import test_files
from agent.verify.protected import with_helpers
from agent.verify.verifier import Verifier
from agent.workspace import make_workspace, timed


def main() -> int:
    """Judge what has not been judged; the exit code is 1 when an honest patch was rejected."""
    options = _parser().parse_args()
    chosen = choose(read_instances(options.tasks)[0], options.split, limit=options.limit)
    done = _read(options.out)
    with options.out.open("a", encoding="utf-8") as file:
        for number, instance in enumerate(chosen, 1):
            if instance.instance_id not in done:
                row = done[instance.instance_id] = _judge(instance, options.sandbox)
                file.write(json.dumps(row) + "\n")
                file.flush()
                told = "verified" if row["verified"] else f"REJECTED: {row['reasons']}"
                print(f"{number}/{len(chosen)} {instance.instance_id}: {told}", flush=True)
    rows = [done[instance.instance_id] for instance in chosen]
    rejected = [row["instance_id"] for row in rows if not row["verified"]]
    share = statistics.median(row["seconds"] / row["once"] for row in rows)
    print(f"{len(rejected)} of {len(rows)} honest patches rejected {rejected}")
    print(f"a verdict takes {share:.2f} times as long as one run of the tests (median)")
    return bool(rejected)


def _judge(instance: Instance, sandbox: str) -> dict[str, Any]:
    settings = with_environment(
        load_settings(None, {"sandbox": sandbox, "test_timeout": 120.0}), environment_of(instance)
    )
    workspace = seeded(make_workspace(capture_of(instance, "visible"), settings), 0)
    clock = timed()
    with workspace.fresh() as opened:
        baseline = workspace.test(opened)
    once = clock()
    tests = with_helpers(test_files(baseline.outcomes), workspace.contents)
    verifier = Verifier(workspace, baseline, instance.fail_to_pass, tests)
    verdict = verifier.judge(instance.patch)
    return {
        "instance_id": instance.instance_id,
        "verified": verdict.verified,
        "reasons": verdict.reasons,
        "suspicions": verdict.suspicions,
        "seconds": round(verdict.seconds, 2),
        "once": round(once, 2),
    }


def _read(path: Path) -> dict[str, dict[str, Any]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["instance_id"]: row for row in rows}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--split", choices=["train", "dev", "heldout"])
    parser.add_argument("--limit", type=int, default=100, help="tasks, of every repository in turn")
    parser.add_argument("--sandbox", choices=["bubblewrap", "docker"], default="bubblewrap")
    parser.add_argument("--out", type=Path, default=Path("results") / "false_alarms.jsonl")
    return parser


if __name__ == "__main__":
    sys.exit(main())
