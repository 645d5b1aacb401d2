"""`agent train`: from stored experience to an adapter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.errors import reported

Many = list[str] | None


def train(
    trainer: Annotated[
        Literal["sft", "dpo", "kto", "reward", "grpo", "ppo"],
        typer.Argument(help="How to learn; see docs/learning.md."),
    ],
    model: Annotated[
        str,
        typer.Option(help="The policy to go on from: NAME, NAME@VERSION, a GGUF or a folder."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder of the run; it goes on there.")
    ] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option(help="A store, or a folder with one (repeatable); default: your own."),
    ] = None,
    trajectory: Annotated[
        Many, typer.Option(help="Only this trajectory (an id or its beginning; repeatable).")
    ] = None,
    repo: Annotated[str | None, typer.Option(help="Only those of this repository.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the latest.")] = None,
    parent: Annotated[
        Path | None, typer.Option(help="An adapter to go on from that has no name: its folder.")
    ] = None,
    gold: Annotated[
        Path | None, typer.Option(help="sft: conversations to learn as well, as JSONL.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the policy; default: one pass.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Order of the data, first weights.")] = 0,
    change: Annotated[
        Many, typer.Option("--set", metavar="KEY=VALUE", help="A setting, as loss.kl=0.01.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: what is there.")] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16"] | None,
        typer.Option(help="Of the base; default: float32 on a CPU, bfloat16 on a GPU."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train an adapter on stored experience. The same command goes on where it was stopped.

    Exit codes: 0 trained, 2 usage, 3 nothing to learn from, data that drifted, or no weights.
    """
    with reported(as_json=as_json):
        from agent.train.request import Request
        from agent.train.run import train as run
        from policies.learning.report import live

        request = Request(
            trainer=trainer,
            model=model,
            out=out or _default_folder(trainer, model),
            stores=tuple(store or ()),
            trajectories=tuple(trajectory or ()),
            repository=repo,
            limit=limit,
            parent=parent,
            gold=gold,
            changes=(
                f"seed={seed}",
                *((f"steps={steps}",) if steps else ()),
                *(change or ()),
            ),
            device=device,
            dtype=dtype,
        )
        with live(f"{trainer} of {model}", silent=as_json or quiet) as show:
            trained = run(request, show)
    if not trained.first:
        return
    if as_json:
        from agent.documents import TrainedReport

        report = TrainedReport(
            trainer=trainer,
            adapter=str(trained.adapter),
            model=trained.name,
            left_out=dict(trained.left_out),
            lineage=dict(trained.lineage),
            last=dict(trained.rows[-1]) if trained.rows else None,
        )
        print(report.line())
        return
    for reason, count in sorted(trained.left_out.items()):
        print(f"left out: {count} {reason}", file=sys.stderr)
    print(f"adapter: {trained.adapter}")
    if trained.name:
        print(f"model: {trained.name}")


def _default_folder(trainer: str, model: str) -> Path:
    name = "".join(c if c.isalnum() or c in "-._" else "-" for c in Path(model).name)
    return Path("results") / f"train-{trainer}-{name}"
