"""A small model before and after learning, on tasks that it never saw.

    python benchmarks/learning/first_result.py TASKS.jsonl PRACTICE.jsonl --out results/first

Stages, each with rollouts on the held-out split at its end: `base`; `larger` (another model,
untrained); `warm` (SFT on the known fixes of the train split, and on what the base solved there);
`rejection` (the base anew, on all that and on what `warm` solves of PRACTICE, whose fixes nobody is
shown: STaR, arXiv:2203.14465); `grpo` and `ppo` from `warm`, at first on its answers to PRACTICE,
then in rounds of rollout and training on those tasks that are sometimes solved, until `--hours`
each are spent. What `warm` was shown it knows by heart, which teaches little, so PRACTICE has other
bugs, of libraries of the train and the dev split; held-out ones are never practised on. A sample is
one answer: the lines for the place where the known fix has some, learned and measured alike, eight
behind one prompt.
Everything goes on where it was stopped; `--stage` runs one, `--report` prints what there is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from unidiff import PatchSet

from agent.rollout.report import Rolled
from agent.tasks.choose import choose
from agent.tasks.instance import Instance, read_instances, write_text

STAGES = ("base", "larger", "warm", "rejection", "grpo", "ppo")
SHORT_ATTEMPT = {
    "APPRENTICE_STRATEGIES": "infill",
    "APPRENTICE_ROUNDS": "1",
    "APPRENTICE_EXPLORE": "true",
    "APPRENTICE_PROMPT_TOKENS": "1000",
    "APPRENTICE_TEMPERATURE": "0.8",
}
SANDBOX = ("--sandbox", "bubblewrap")
SETTINGS = {
    "sft": ("save_every=5", "epochs=2"),
    "grpo": ("save_every=1", "data.groups_per_step=4", "learning_rate=1e-4"),
    "ppo": (
        "save_every=1",
        "data.groups_per_step=4",
        "learning_rate=1e-4",
        "value_learning_rate=1e-3",
    ),
}
SHOWN_K = (1, 4, 8)
RESAMPLED = 4000


@dataclass
class State:
    """What has been done, by name, and the wall seconds that it took; kept in `stages.json`."""

    path: Path
    plan: dict[str, Any]
    done: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, plan: dict[str, Any]) -> State:
        """What was done by this plan; what another one did is refused."""
        path = folder / "stages.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"plan": plan}
        if kept["plan"] != plan:
            raise SystemExit(f"{folder} holds a run of another plan: {kept['plan']}")
        return cls(path, **kept)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once; the time of all tries at it counts."""
        if name not in self.done:
            clock = time.monotonic()
            try:
                self.done[name] = make()
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - clock
                kept = {"plan": self.plan, "done": self.done, "seconds": self.seconds}
                write_text(self.path, json.dumps(kept, indent=2) + "\n")
        return self.done[name]

    def hours(self, names: Iterable[str]) -> float:
        """The time that these took together."""
        return sum(self.seconds.get(name, 0.0) for name in names) / 3600


def main() -> int:
    """Run what has not been run, then print the table."""
    options = _parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    free = ("out", "hours", "stage", "report")
    plan = {name: str(value) for name, value in vars(options).items() if name not in free}
    state = State.read(options.out, {**plan, **SHORT_ATTEMPT})
    for stage in () if options.report else (options.stage or STAGES):
        model = state.done.get(stage) or _learn(options, state, stage)
        state.once(f"eval {stage}", partial(_evaluate, options, stage, model))
        state.once(stage, partial(str, model))
    _report(options, state)
    return 0


def _learn(options: argparse.Namespace, state: State, stage: str) -> str:
    """The model of a stage."""
    if stage in ("base", "larger"):
        return str(options.model if stage == "base" else options.larger) + "@base"
    warm = state.done.get("warm")
    if stage != "warm" and warm is None:
        raise SystemExit("the stage 'warm' comes first")
    base = f"{options.model}@base"
    shown = _roll_out(options, state, "warm", base)
    gold = ["--gold", shown / "gold.jsonl"]
    if stage == "warm":
        return _train(options, state, "warm", "sft", base, [shown], gold)
    drawn = _roll_out(options, state, "practice", warm, ids=_to_practise(options, state))
    if stage == "rejection":
        return _train(options, state, "rejection", "sft", base, [shown, drawn], gold)
    return _rounds(options, state, stage, warm, drawn)


def _rounds(options: argparse.Namespace, state: State, stage: str, model: str, drawn: Path) -> str:
    """Training and rollouts in turn, the first on what was drawn already."""
    rates = state.done["rollout practice"]["rates"]
    turn = 1
    while True:
        groups = state.done[f"rollout {_drawn_for(stage, turn)}"]["groups"]
        if groups or stage == "ppo":
            model = _train(options, state, f"{stage}-{turn}", stage, model, [drawn], [])
        if state.hours(_parts(stage, turn)) >= options.hours:
            return model
        turn += 1
        name = _drawn_for(stage, turn)
        ids = informative(rates, options.tasks_a_round, turn)
        drawn = _roll_out(options, state, name, model, ids=ids, seed=turn)
        rates = {**rates, **state.done[f"rollout {name}"]["rates"]}


def unseen(practice: Sequence[Instance], shown: Sequence[Instance]) -> list[str]:
    """The tasks whose fixes write no line that a fix which was shown writes."""
    known = {line for task in shown for line in _mended(task)}
    found = [task.instance_id for task in practice if not known & _mended(task)]
    if not found:
        raise SystemExit("no task is left to practise on: all fixes were shown")
    return found


def _mended(task: Instance) -> set[tuple[str, str, int | None]]:
    """The lines that the known fix of a task writes: by project, file and number."""
    lines = ((file.path, line) for file in PatchSet(task.patch) for hunk in file for line in hunk)
    return {(task.repo, path, line.target_line_no) for path, line in lines if line.is_added}


def _to_practise(options: argparse.Namespace, state: State) -> list[str]:
    practice, _ = read_instances(options.practice)
    known, _ = read_instances(options.tasks)
    allowed = [task for task in practice if task.split != "heldout"]
    return unseen(allowed, choose(known, ids=state.done["rollout warm"]["rates"]))


def _drawn_for(stage: str, turn: int) -> str:
    return "practice" if turn == 1 else f"{stage}-{turn}"


def _parts(stage: str, turns: int) -> list[str]:
    """The names of what a stage's rounds do."""
    if stage == "warm":
        return ["rollout warm", "train warm"]
    if stage == "rejection":
        return ["rollout practice", "train rejection"]
    rounds = range(1, turns + 1)
    drawn = [f"rollout {_drawn_for(stage, turn)}" for turn in rounds]
    return drawn + [f"train {stage}-{turn}" for turn in rounds]


def informative(rates: Mapping[str, float], count: int, turn: int) -> list[str]:
    """Tasks that are sometimes solved first, those nearest to one half; then others in turn."""
    ids = sorted(rates)
    random.Random(turn).shuffle(ids)
    return sorted(ids, key=lambda task: abs(rates[task] - 0.5))[:count]


def _roll_out(
    options: argparse.Namespace,
    state: State,
    name: str,
    model: str,
    *,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Path:
    folder: Path = options.out / f"rollout-{name}"
    most = ["--limit", options.train_limit] if options.train_limit else []
    if ids is None:
        tasks, chosen = options.tasks, ["--split", "train"]
    else:
        tasks, chosen = options.practice, ["--ids", ",".join(ids)]
    chosen += [*most, "--seed", 1000 * seed]

    def run() -> dict[str, Any]:
        report = _agent(_rollout_words(options, tasks, folder.name, model, chosen))
        if not report["attempts"]:
            raise SystemExit(f"nothing was sampled: {report['failed']}")
        rates = {task: solved / max(1, n) for task, (n, solved) in report["answers"].items()}
        return {"rates": rates, "groups": report["groups"], "tampered": report["tampered"]}

    state.once(f"rollout {name}", run)
    return folder


def _rollout_words(
    options: argparse.Namespace,
    tasks: Path,
    folder: str,
    model: str,
    chosen: Sequence[Any],
) -> list[Any]:
    words = ["rollout", tasks, *chosen, "--model", model, "--out", options.out / folder]
    words += ["--samples", 1, "--strategies", "infill", "--known-places"]
    return [*words, "--timeout", options.seconds, "--jobs", options.jobs, *SANDBOX]


def _train(
    options: argparse.Namespace,
    state: State,
    name: str,
    trainer: str,
    model: str,
    stores: Sequence[Path],
    more: Sequence[Any],
) -> str:
    words = ["train", trainer, "--model", model, *more]
    words += [word for store in stores for word in ("--store", store)]
    words += ["--out", options.out / f"train-{name}", "--dtype", options.dtype]
    words += [word for change in SETTINGS[trainer] for word in ("--set", change)]
    return str(state.once(f"train {name}", lambda: _agent(words)["model"]))


def _evaluate(options: argparse.Namespace, stage: str, model: str) -> None:
    """Sample a stage's model on the held-out split, what failed once more."""
    chosen = ["--split", "heldout", "--limit", options.limit, "--even"]
    words = _rollout_words(options, options.tasks, f"eval-{stage}", model, chosen)
    report = _agent(words)
    if report["failed"]:
        report = _agent(words)
    if report["failed"]:
        raise SystemExit(f"some tasks cannot be sampled: {report['failed']}")


def _agent(words: Sequence[Any]) -> dict[str, Any]:
    """What a command prints as JSON. When this process is to stop, the command is stopped."""
    print("agent " + " ".join(map(str, words))[:500], file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "agent", *map(str, words), "--json"]
    env = {**os.environ, **SHORT_ATTEMPT}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if process.returncode not in (0, 1):
        raise SystemExit(said.strip() or f"it ended with {process.returncode}")
    report: dict[str, Any] = json.loads(said.splitlines()[-1])
    return report


def _report(options: argparse.Namespace, state: State) -> None:
    shown = [f"pass@{k}" for k in SHOWN_K]
    head = ["stage", "model", "tasks", *shown, "pass@1 less warm's", "tampered", "unscored"]
    head += ["s an answer", "hours"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    measured = {
        stage: Rolled.model_validate_json(
            (options.out / f"eval-{stage}" / "summary.json").read_text(encoding="utf-8")
        )
        for stage in STAGES
        if f"eval {stage}" in state.done
    }
    for stage, rolled in measured.items():
        at = {
            found.k: f"{100 * found.estimate:.1f} % ({100 * found.low:.0f}–{100 * found.high:.0f})"
            for found in rolled.pass_at
        }
        cells = [stage, state.done.get(stage, ""), rolled.tasks, *(at.get(k, "") for k in SHOWN_K)]
        apart = _apart(measured, stage, "warm") if stage != "warm" and "warm" in measured else ""
        cells += [apart, rolled.tampered, sum(rolled.unscored.values())]
        scored = sum(count for count, _ in rolled.answers.values())
        cells += [f"{rolled.seconds / max(1, scored):.1f}"]
        cells += [f"{state.hours(_learning(stage, len(state.seconds))):.1f}"]
        print(f"| {' | '.join(map(str, cells))} |")
    untrained = [name for name in ("base", "larger") if name in measured]
    for other in untrained:
        learned = (name for name in measured if name not in untrained)
        told = ", ".join(f"{name} {_apart(measured, name, other)}" for name in learned)
        print(f"\npass@1 less that of {other}: {told}")
    print("\nhours: rollouts and training, of the stages that it stands on as well")


def _apart(measured: Mapping[str, Rolled], stage: str, other: str) -> str:
    """The difference of two stages in points, with its interval."""
    found = difference(measured[stage].answers, measured[other].answers)
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * share for share in found))


def difference(
    ours: Mapping[str, tuple[int, int]], others: Mapping[str, tuple[int, int]]
) -> tuple[float, float, float]:
    """By how much more answers solve the same tasks: the mean over tasks, and a 95 % interval of it
    by drawing tasks anew (Efron, 1979). Answers are given by task, as (scored, right)."""
    both = [(ours[task], others[task]) for task in ours if task in others]
    gaps = [a[1] / a[0] - b[1] / b[0] for a, b in both if a[0] and b[0]]
    draw = random.Random(0)
    means = sorted(fmean(draw.choices(gaps, k=len(gaps))) for _ in range(RESAMPLED))
    return fmean(gaps), means[int(0.025 * RESAMPLED)], means[int(0.975 * RESAMPLED)]


def _learning(stage: str, turns: int) -> list[str]:
    """The names of all that led to a stage's model."""
    if stage in ("base", "larger"):
        return []
    before = [] if stage == "warm" else _parts("warm", turns)
    return before + _parts(stage, turns)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("practice", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results") / "first")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--larger", default="qwen2.5-coder-1.5b")
    parser.add_argument("--limit", type=int, default=60, help="held-out tasks")
    parser.add_argument("--train-limit", type=int, help="of each file, to learn from; default: all")
    parser.add_argument("--tasks-a-round", type=int, default=24, help="of grpo and ppo")
    parser.add_argument("--seconds", type=float, default=120.0, help="of an attempt")
    parser.add_argument("--jobs", type=int, default=1, help="attempts at a time")
    parser.add_argument("--hours", type=float, default=2.0, help="of each of grpo and ppo")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--stage", nargs="*", choices=STAGES)
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
