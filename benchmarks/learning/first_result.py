"""A small model before and after learning, on tasks that it never saw.

    python benchmarks/learning/first_result.py TASKS.jsonl --out results/first

Stages, each with an evaluation of the held-out split at its end: `base`; `larger` (another model,
untrained); `warm` (SFT on the known fixes of the train split, and on what the base solved there);
`rejection` (SFT on what `warm` solved there); `grpo` and `ppo` from there, in rounds of rollout
and training, until `--hours` each are spent. An attempt is one conversation of one round: the
first answer. Everything goes on where it was stopped; `--stage` runs one, `--report` prints what
there is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.evaluate.report import Summary

STAGES = ("base", "larger", "warm", "rejection", "grpo", "ppo")
FIRST_ANSWER = {
    "APPRENTICE_STRATEGIES": "conversation",
    "APPRENTICE_ROUNDS": "1",
    "APPRENTICE_EXPLORE": "true",
    "APPRENTICE_PROMPT_TOKENS": "1000",
    "APPRENTICE_TEMPERATURE": "0.8",
}
SANDBOX = ("--sandbox", "bubblewrap")
A_ROUND = 40
"""Tasks of a round of `grpo` and `ppo`."""


def main() -> int:
    """Run what has not been run, then print the table."""
    options = _parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for stage in () if options.report else (options.stage or STAGES):
        if stage not in _state(options):
            model, hours = _learn(options, stage)
            _evaluate(options, stage, model)
            _keep(options, stage, model, hours)
    _report(options)
    return 0


def _learn(options: argparse.Namespace, stage: str) -> tuple[str, float]:
    """The model of a stage, and the hours that rollouts and training took."""
    if stage in ("base", "larger"):
        return (options.model if stage == "base" else options.larger) + "@base", 0.0
    if stage == "warm":
        drawn, hours = _roll_out(options, "warm", f"{options.model}@base", samples=2)
        gold = ["--gold", drawn / "gold.jsonl", "--set", "epochs=2"]
        return _train(options, "warm", "sft", f"{options.model}@base", drawn, gold, hours)
    before = _model(options, "warm" if stage == "rejection" else "rejection")
    if stage == "rejection":
        drawn, hours = _roll_out(options, "rejection", before, samples=4)
        return _train(options, "rejection", "sft", before, drawn, [], hours)
    model, spent, turn = before, 0.0, 0
    while spent < options.hours:
        turn += 1
        name = f"{stage}-{turn}"
        if name not in _state(options):
            drawn, hours = _roll_out(options, name, model, samples=8, limit=A_ROUND, seed=turn)
            if _groups(drawn):
                model, hours = _train(options, name, stage, model, drawn, [], hours)
            _keep(options, name, model, hours)
        model, spent = _model(options, name), spent + _state(options)[name]["hours"]
    return model, spent


def _groups(folder: Path) -> int:
    """How many groups of a rollout teach anything."""
    text = (folder / "summary.json").read_text(encoding="utf-8")
    return int(json.loads(text)["groups"])


def _roll_out(
    options: argparse.Namespace,
    name: str,
    model: str,
    *,
    samples: int,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[Path, float]:
    folder = options.out / f"rollout-{name}"
    more = ["--limit", limit] if limit else []
    words = ["rollout", options.tasks, "--split", "train", "--model", model, "--out", folder]
    words += ["--samples", samples, "--strategies", "conversation", "--rounds", 1, *more]
    report = _agent(
        options, [*words, "--timeout", options.seconds, "--seed", 1000 * seed, *SANDBOX]
    )
    return folder, report["seconds"] / 3600


def _train(
    options: argparse.Namespace,
    name: str,
    trainer: str,
    model: str,
    store: Path,
    more: Sequence[Any],
    hours: float,
) -> tuple[str, float]:
    folder = options.out / f"train-{name}"
    words = ["train", trainer, "--model", model, "--store", store, "--out", folder, *more]
    report = _agent(options, words)
    curves = json.loads((folder / "curves.json").read_text(encoding="utf-8"))["rows"]
    return report["model"], hours + sum(row["seconds"] for row in curves) / 3600


def _evaluate(options: argparse.Namespace, stage: str, model: str) -> None:
    samples = options.samples if stage == "base" else options.fewer
    words = ["eval", options.tasks, "--split", "heldout", "--limit", options.limit]
    words += ["--model", model, "--samples", samples, "--attempts", 1, "--no-plots"]
    words += ["--timeout", options.seconds, "--out", options.out / f"eval-{stage}", *SANDBOX]
    _agent(options, words)


def _agent(options: argparse.Namespace, words: Sequence[Any]) -> dict[str, Any]:
    """What a command prints as JSON; its progress is shown."""
    command = [sys.executable, "-m", "agent", *map(str, words), "--json"]
    print("agent " + " ".join(map(str, words)), file=sys.stderr, flush=True)
    done = subprocess.run(
        command, stdout=subprocess.PIPE, env={**os.environ, **FIRST_ANSWER}, text=True
    )
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout.strip() or f"it ended with {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def _state(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    path = options.out / "stages.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _model(options: argparse.Namespace, stage: str) -> str:
    state = _state(options)
    if stage not in state:
        raise SystemExit(f"the stage {stage!r} comes first")
    return str(state[stage]["model"])


def _keep(options: argparse.Namespace, stage: str, model: str, hours: float) -> None:
    state = {**_state(options), stage: {"model": model, "hours": round(hours, 2)}}
    text = json.dumps(state, indent=2) + "\n"
    (options.out / "stages.json").write_text(text, encoding="utf-8")


def _report(options: argparse.Namespace) -> None:
    print("| stage | model | pass@1 | most samples | false claims | hours of learning |")
    print("|---|---|---|---|---|---|")
    for stage, kept in _state(options).items():
        if stage not in STAGES:
            continue
        path = options.out / f"eval-{stage}" / "summary.json"
        summary = Summary.model_validate_json(path.read_text(encoding="utf-8"))
        first, last = summary.pass_at[0], summary.pass_at[-1]
        cells = [
            f"{100 * at.estimate:.1f} % ({100 * at.low:.0f}–{100 * at.high:.0f})"
            for at in (first, last)
        ]
        print(
            f"| {stage} | {kept['model']} | {cells[0]} | pass@{last.k} {cells[1]} | "
            f"{summary.false_claims} of {summary.claimed} | {kept['hours']} |"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results") / "first")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--larger", default="qwen2.5-coder-1.5b")
    parser.add_argument("--limit", type=int, default=60, help="held-out tasks")
    parser.add_argument("--samples", type=int, default=8, help="of a task, of the base")
    parser.add_argument("--fewer", type=int, default=2, help="of a task, of other stages")
    parser.add_argument("--seconds", type=float, default=120.0, help="of a sample")
    parser.add_argument("--hours", type=float, default=2.0, help="of each of grpo and ppo")
    parser.add_argument("--stage", nargs="*", choices=STAGES)
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
