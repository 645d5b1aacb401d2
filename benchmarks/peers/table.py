"""Apprentice and its peers on the same tasks, with the same model and limit, in one table.

python benchmarks/peers/table.py TASKS.jsonl --split dev --limit 20 --seconds 240

All three are scored by the same scorer. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from run import PEERS

from agent.evaluate.plots import draw
from agent.evaluate.records import RESULTS
from agent.evaluate.report import Summary, markdown, scored, table
from agent.evaluate.results import Result
from agent.evaluate.statistics import paired
from agent.tasks.choose import choose
from agent.tasks.instance import Instance, read_instances, write_text

OURS = "apprentice"
HERE = Path(__file__).parent


def main() -> int:
    """Run what has not been run, then print the table."""
    options = _parser().parse_args()
    chosen = choose(read_instances(options.tasks)[0], options.split, limit=options.limit)
    for name in options.only or (OURS, *sorted(PEERS)):
        folder = options.out / name
        _ours(options, chosen, folder) if name == OURS else _peer(options, chosen, name, folder)
    _report(options.out)
    return 0


def _ours(options: argparse.Namespace, chosen: Sequence[Instance], folder: Path) -> None:
    limits = ["--model", options.model, "--timeout", str(options.seconds)]
    _evaluate(options.tasks, chosen, folder, *limits)


def _peer(options: argparse.Namespace, chosen: Sequence[Instance], name: str, folder: Path) -> None:
    ids = ",".join(instance.instance_id for instance in chosen)
    command = [HERE / "run.py", options.tasks, "--peer", name, "--model", options.model]
    command += ["--seconds", options.seconds, "--ids", ids, "--work", options.work]
    subprocess.run([sys.executable, *map(str, command), "--out", str(folder)], check=True)
    _evaluate(
        options.tasks, chosen, folder / "scored", "--predictions", folder / "predictions.jsonl"
    )


def _evaluate(tasks: Path, chosen: Sequence[Instance], folder: Path, *more: str | Path) -> None:
    ids = ",".join(instance.instance_id for instance in chosen)
    command = [sys.executable, "-m", "agent", "eval", tasks, "--ids", ids, "--out", folder, *more]
    if subprocess.run([*map(str, command), "--sandbox", "bubblewrap"]).returncode > 1:
        raise SystemExit(f"{folder} could not be evaluated")


def _report(out: Path) -> None:
    """The table of all that has been run into `out`."""
    from rich.console import Console

    runs: dict[str, list[Result]] = {}
    summaries: list[Summary] = []
    for note in sorted([*out.glob("*/summary.json"), *out.glob("*/scored/summary.json")]):
        summary = Summary.model_validate_json(note.read_text(encoding="utf-8"))
        rows = note.with_name(RESULTS).read_text(encoding="utf-8").splitlines()
        name = note.relative_to(out).parts[0]
        runs[name] = [Result.model_validate_json(row) for row in rows if row]
        summaries.append(summary.model_copy(update={"model": name}))
    Console().print(table(summaries))
    text = markdown(summaries)
    if OURS in runs:
        for name in sorted(runs.keys() - {OURS}):
            told = paired(_solved(runs[OURS]), _solved(runs[name]))
            text += (
                f"\n{OURS} against {name}: {told.only_first} solved by the first alone, "
                f"{told.only_second} by the second alone, p = {told.p_value:.3f} (exact McNemar).\n"
            )
    write_text(out / "table.md", text)
    draw(runs, out / "plots")
    print(text)


def _solved(results: Sequence[Result]) -> dict[str, bool]:
    return {task: any(samples) for task, samples in scored(results).items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--split", choices=["train", "dev", "heldout"], default="dev")
    parser.add_argument("--limit", type=int, default=20, help="tasks")
    parser.add_argument("--seconds", type=float, default=240, help="wall limit of a task")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--only", action="append", choices=[OURS, *sorted(PEERS)])
    parser.add_argument("--out", type=Path, default=Path("results") / "peers")
    parser.add_argument("--work", type=Path, default=Path(".peers"), help="where peers are kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
