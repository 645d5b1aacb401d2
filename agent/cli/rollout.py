"""`agent rollout`: sample a policy on tasks, for training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.errors import reported
from agent.cli.inputs import fetch_models, print_bad
from agent.ui.text import printable

if TYPE_CHECKING:
    from agent.rollout.records import Batch
    from agent.tasks.instance import Instance


def rollout(
    tasks: Annotated[Path, typer.Argument(help="A file of tasks, as `agent tasks make` writes.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder; a rollout goes on there.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The policy: NAME or NAME@VERSION.")] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Samples of a task on average; more where they teach more.")
    ] = 8,
    split: Annotated[
        Literal["train", "dev", "heldout"], typer.Option(help="Only tasks of this split.")
    ] = "train",
    ids: Annotated[str | None, typer.Option(help="Only these instance_ids, with commas.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="This many tasks, spread over the repositories.")
    ] = None,
    strategies: Annotated[
        str, typer.Option(help="Kinds of attempts, with commas: infill, conversation, search.")
    ] = "infill,conversation",
    rounds: Annotated[int | None, typer.Option(help="Rounds of an attempt at most.")] = None,
    known_places: Annotated[
        bool,
        typer.Option(
            "--known-places",
            help="Infill where the known fix does, and leave out tasks where it does not.",
        ),
    ] = False,
    even: Annotated[
        bool, typer.Option("--even", help="The same number of samples of each task: to measure.")
    ] = False,
    budget_tokens: Annotated[
        int | None, typer.Option(help="Tokens of a sample on average.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds of a sample on average.")] = 120.0,
    test_timeout: Annotated[float | None, typer.Option(help="Seconds for a test run.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling.")] = None,
    sandbox: Annotated[
        str | None, typer.Option(help="auto, docker, bubblewrap, or none (no isolation).")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs at a time; those of a local model share its cores.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Sample a policy on tasks, with the verifier's rewards: what `agent train` learns from.

    Tasks that are solved about half the time are sampled most. Every batch is written down at once:
    the same command goes on where it was stopped.
    Exit codes: 0 sampled, 1 some tasks could not be run, 2 usage, 3 environment.
    """
    with reported(as_json=as_json):
        from agent.config import load_settings
        from agent.rollout.answers import write_gold
        from agent.rollout.records import GOLD, Folder, Plan
        from agent.rollout.report import summarise, table
        from agent.rollout.run import roll_out
        from agent.tasks.choose import choose
        from agent.tasks.instance import digest_of, read_instances, write_text
        from agent.workspace import check_sandbox
        from policies.choose import pinned
        from policies.experience.store import Store

        settings = load_settings(
            None,
            {
                "model": model,
                "sandbox": sandbox,
                "strategies": strategies,
                "rounds": rounds,
                "budget_tokens": budget_tokens,
                "timeout": timeout,
                "test_timeout": test_timeout,
                "seed": seed,
            },
        )
        check_sandbox(settings)
        instances, bad = read_instances(tasks)
        print_bad(tasks, bad)
        instances = choose(instances, None if ids else split, ids.split(",") if ids else None)
        if known_places:
            instances = _with_a_place(instances)
        instances = choose(instances, limit=limit)
        fetch_models(settings, silent=as_json or quiet)
        alone = {"model": pinned(settings.model), "planner": None, "critic": None}
        settings = settings.model_copy(update=alone)
        plan = Plan(
            tasks_sha256=digest_of(instances),
            samples=samples,
            settings=settings,
            known_places=known_places,
            even=even,
        )
        folder = Folder(out or Path("results") / f"rollout-{tasks.stem}", plan)
        with folder.open():
            planned = len(instances) * samples
            with _progress(planned, silent=as_json or quiet) as show:
                batches = roll_out(folder, instances, jobs=jobs, on_batch=show)
            with Store.open(folder.store) as store:
                by_id = {instance.instance_id: instance for instance in instances}
                gold = write_gold(folder.path / GOLD, batches, by_id, store)
                rolled = summarise(str(folder.path), settings.model, batches, store, gold)
            write_text(folder.path / "summary.json", rolled.model_dump_json(indent=2) + "\n")
    for name, problem in rolled.failed.items():
        print(f"{name}: {printable(problem)}", file=sys.stderr)
    if as_json:
        print(rolled.line())
    else:
        from rich.console import Console

        Console().print(table(rolled))
        print(f"rollout: {folder.path}")
    raise SystemExit(1 if rolled.failed else 0)


def _with_a_place(instances: list[Instance]) -> list[Instance]:
    """The tasks whose known fix fills one hole, and those that cannot be made, to be told of."""
    from agent.rollout.gold import place_of
    from agent.status import AgentError

    kept = []
    for instance in instances:
        try:
            known = place_of(instance) is not None
        except AgentError:
            known = True
        if known:
            kept.append(instance)
    if len(kept) < len(instances):
        left = len(instances) - len(kept)
        print(f"left out, as their fix fills no single place: {left}", file=sys.stderr)
    return kept


@contextmanager
def _progress(planned: int, *, silent: bool) -> Iterator[Callable[[Batch], None]]:
    """A callback for each batch, which shows how many samples there are, and how many solve."""
    from agent.ui.counted import count_bar

    done = solved = scored = 0
    with count_bar("samples", silent=silent) as show:

        def count(batch: Batch) -> None:
            nonlocal done, solved, scored
            done += 0 if batch.error else batch.samples
            seen = batch.solved
            solved, scored = solved + sum(seen), scored + len(seen)
            note = printable(batch.error) or f"{sum(seen)} of {len(seen)}"
            show(
                done,
                planned,
                f"{solved} of {scored} attempts solve; {batch.instance_id}: {note}",
            )

        yield count
