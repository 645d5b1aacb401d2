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

from record import PREDICTIONS, RUN, Run, read_rows
from run import PEERS

from agent.evaluate.plots import draw
from agent.evaluate.records import RESULTS, Plan
from agent.evaluate.report import Summary, markdown, scored, table
from agent.evaluate.results import Result
from agent.evaluate.statistics import paired
from agent.tasks.choose import choose
from agent.tasks.instance import Instance, read_instances, write_text

OURS, SCORED = "apprentice", "scored"
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
    _evaluate(options.tasks, chosen, folder / SCORED, "--predictions", folder / PREDICTIONS)


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
    notes = sorted([*out.glob("*/summary.json"), *out.glob(f"*/{SCORED}/summary.json")])
    check_same([note.parent for note in notes])
    for note in notes:
        summary = Summary.model_validate_json(note.read_text(encoding="utf-8"))
        name = note.relative_to(out).parts[0]
        runs[name] = latest(note.with_name(RESULTS))
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


def latest(results: Path) -> list[Result]:
    """The last row of each sample."""
    rows = [Result.model_validate(row) for row in read_rows(results)]
    return list({(row.instance_id, row.sample): row for row in rows}.values())


def check_same(folders: Sequence[Path]) -> None:
    """Raise SystemExit unless all these evaluations are of the same tasks, model and limit."""
    first, expected, wanted = folders[0], *_identity(folders[0])
    for folder in folders[1:]:
        what, tasks = _identity(folder)
        if what != expected:
            raise SystemExit(f"{first} and {folder} differ: {expected} and {what}")
        if differ := sorted(tasks ^ wanted):
            named = ", ".join(differ[:3])
            raise SystemExit(f"{len(differ)} tasks are only in one of {first}, {folder}: {named}")


def _identity(folder: Path) -> tuple[dict[str, str | float], set[str]]:
    """What was evaluated there, and the tasks that have a result."""
    plan = Plan.model_validate_json((folder / RUN).read_text(encoding="utf-8"))
    model, seconds = plan.settings.model, plan.settings.timeout
    if folder.name == SCORED:
        run = Run.model_validate_json((folder.parent / RUN).read_text(encoding="utf-8"))
        model, seconds = run.model, run.seconds
    what: dict[str, str | float]
    what = {"tasks": plan.tasks_sha256, "model": model, "seconds": seconds}
    return what, {row.instance_id for row in latest(folder / RESULTS)}


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
