"""How often the definition that the known fix changes is among the first suspects.

    python benchmarks/repair/localise.py TASKS.jsonl --split heldout [--limit 40]

With the failing tests, and by the issue alone. Nothing is sampled. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unidiff import PatchSet

from agent.config import load_settings
from agent.context.evidence import Evidence
from agent.context.localise import by_lines, localise
from agent.evaluate.score import environment_of
from agent.tasks.choose import choose
from agent.tasks.environment import with_environment
from agent.tasks.instance import Instance, Variant, read_instances
from agent.tasks.tree import capture_of
from agent.verify.outcomes import test_files
from agent.verify.protected import with_helpers
from agent.workspace import make_workspace
from tools.codemap import MODULE, Codemap

VARIANTS: tuple[Variant, ...] = ("visible", "issue")
FIRST = (1, 3, 5)


def main() -> int:
    """Localise what has not been localised, then print the table."""
    options = _parser().parse_args()
    chosen = choose(read_instances(options.tasks)[0], options.split, limit=options.limit)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = _read(options.out)
    with options.out.open("a", encoding="utf-8") as file:
        for instance in chosen:
            if instance.instance_id not in done:
                row = _located(instance, options.sandbox)
                done[instance.instance_id] = row
                file.write(json.dumps(row) + "\n")
                file.flush()
    _report([done[instance.instance_id] for instance in chosen])
    return 0


def _located(instance: Instance, sandbox: str) -> dict[str, Any]:
    row: dict[str, Any] = {"instance_id": instance.instance_id}
    for variant in VARIANTS:
        settings = load_settings(None, {"sandbox": sandbox})
        capture = capture_of(instance, variant)
        own = with_environment(settings, environment_of(instance))
        workspace = make_workspace(capture, own)
        files = {file.path: file.data for file in workspace.files if file.mode != "120000"}
        codemap = Codemap.build(files.items())
        with workspace.fresh() as box:
            run = workspace.test(box, trace=True)
            asked = instance.fail_to_pass if variant == "visible" else ()
            targets = tuple(test for test in run.failing if test in asked)
            protected = with_helpers(test_files(run.outcomes), files)
            issue = instance.problem_statement
            ranked = localise(codemap, files, run, targets, issue, protected)
            if targets:
                evidence = Evidence(codemap, files, ranked, run)
                scores = evidence.line_scores(box, workspace.command, targets, 60.0)
                ranked = by_lines(codemap, ranked, scores)
        row[variant] = rank(changed(instance.patch, codemap), [name for name, _ in ranked])
    return row


def changed(patch: str, codemap: Codemap) -> set[str]:
    """The definitions in which a patch takes lines away, or puts some in."""
    found = set()
    for file in PatchSet(patch):
        for hunk in () if file.is_added_file else file:
            for line in hunk:
                if line.is_context:
                    continue
                number = line.source_line_no
                if number is None:
                    before = [near.source_line_no for near in hunk if near.source_line_no]
                    above = [n for n in before if n is not None]
                    number = _place(list(hunk), line, above)
                symbol = codemap.at(file.path, number)
                if symbol is not None and symbol.qualname != MODULE:
                    found.add(symbol.id)
    return found


def _place(hunk: Sequence[Any], line: Any, numbers: Sequence[int]) -> int:
    """The line of the old file behind which a new line stands."""
    above = [near.source_line_no for near in hunk[: hunk.index(line)] if near.source_line_no]
    return int(above[-1]) if above else int(numbers[0])


def rank(wanted: set[str], ranked: Sequence[str]) -> int | None:
    """The place of the first of the wanted definitions, from 1; None when there is none."""
    return next((place for place, name in enumerate(ranked, 1) if name in wanted), None)


def _report(rows: Sequence[Mapping[str, Any]]) -> None:
    print("| | " + " | ".join(f"top {k}" for k in FIRST) + " | not ranked |")
    print("|---|" + "---|" * (len(FIRST) + 1))
    names = {"visible": "with the failing tests", "issue": "by the issue alone"}
    for variant in VARIANTS:
        ranks = [row[variant] for row in rows]
        cells = [f"{sum(r is not None and r <= k for r in ranks)} of {len(ranks)}" for k in FIRST]
        lost = sum(r is None for r in ranks)
        print(f"| {names[variant]} | {' | '.join(cells)} | {lost} |")


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["instance_id"]: row for row in rows}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--split", choices=["train", "dev", "heldout"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--sandbox", choices=["bubblewrap", "docker"], default="bubblewrap")
    parser.add_argument("--out", type=Path, default=Path("results") / "localise.jsonl")
    return parser


if __name__ == "__main__":
    sys.exit(main())
