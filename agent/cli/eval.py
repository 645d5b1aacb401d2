"""`agent eval`: how many tasks an agent solves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.errors import reported
from agent.cli.inputs import fetch_models, print_bad
from agent.status import AgentError

if TYPE_CHECKING:
    from agent.evaluate.records import Folder
    from agent.evaluate.report import Summary
    from agent.evaluate.results import Result


def evaluate(
    tasks: Annotated[Path, typer.Argument(help="A file of tasks, in SWE-bench's format.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder of the results.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model; see `agent models list`.")] = None,
    predictions: Annotated[
        str | None,
        typer.Option(help="Score patches instead: a predictions.jsonl, or `gold`, or `base`."),
    ] = None,
    variant: Annotated[
        Literal["visible", "issue"],
        typer.Option(help="With the failing tests in the tree, or the issue alone."),
    ] = "visible",
    split: Annotated[
        Literal["train", "dev", "heldout"] | None, typer.Option(help="Only tasks of this split.")
    ] = None,
    ids: Annotated[str | None, typer.Option(help="Only these instance_ids, with commas.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="This many tasks, spread over the repositories.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Independent runs of each task.")] = 1,
    attempts: Annotated[int | None, typer.Option(help="Attempts in a run at most.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Tokens of a run at most.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds of a run at most.")] = None,
    test_timeout: Annotated[float | None, typer.Option(help="Seconds for a test run.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling.")] = None,
    sandbox: Annotated[
        str | None, typer.Option(help="auto, docker, bubblewrap, or none (no isolation).")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs at a time; those of a local model share its cores.")
    ] = 1,
    plots: Annotated[bool, typer.Option(help="Draw plots.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run an agent on tasks, score its patches in fresh sandboxes, and report.

    Every result is written down at once: the same command goes on where it was stopped.
    Exit codes: 0 every sample was scored, 1 some could not be, 2 usage, 3 environment.
    """
    with reported(as_json=as_json):
        from agent.config import load_settings
        from agent.evaluate.records import Folder, Plan, read_predictions
        from agent.evaluate.report import summarise
        from agent.evaluate.run import evaluate as run
        from agent.tasks.choose import choose
        from agent.tasks.instance import digest_of, read_instances
        from agent.workspace import check_sandbox

        overrides = {
            "model": model,
            "sandbox": sandbox,
            "samples": attempts,
            "budget_tokens": budget_tokens,
            "timeout": timeout,
            "test_timeout": test_timeout,
            "seed": seed,
        }
        settings = load_settings(None, overrides)
        check_sandbox(settings)
        instances, bad = read_instances(tasks)
        print_bad(tasks, bad)
        problems = 0 if ids or split else len(bad)
        instances = choose(instances, split, ids.split(",") if ids else None, limit)
        given = None
        others = [f"{phase}: {m}" for phase, m in settings.members.items() if m]
        label = f"{settings.model} ({', '.join(others)})" if others else settings.model
        if predictions is not None:
            given = read_predictions(predictions, instances)
            print_bad(predictions, given.bad)
            label, samples = given.name, given.samples
        else:
            fetch_models(settings, silent=as_json or quiet)
        plan = Plan(
            tasks_sha256=digest_of(instances),
            predictions_sha256=given.digest if given else "",
            model=label,
            variant=variant,
            samples=samples,
            settings=settings,
        )
        folder = Folder(out or _default_folder(tasks, label, variant), plan)
        planned = len(instances) * samples
        made = given.predictions if given else None
        with folder.open():
            with _progress(planned, silent=as_json or quiet) as show:
                results = run(folder, instances, made, jobs=jobs, on_result=show)
            summary = summarise(results, planned, problems)
            _report(folder, summary, results, plots=plots, as_json=as_json)
    raise SystemExit(1 if summary.unscored or problems else 0)


def _default_folder(tasks: Path, label: str, variant: str) -> Path:
    name = "".join(c if c.isalnum() or c in "-._" else "-" for c in label)
    return Path("results") / f"{tasks.stem}-{name}-{variant}"


@contextmanager
def _progress(planned: int, *, silent: bool) -> Iterator[Callable[[Result], None]]:
    """A callback for each result, which shows how many there are and how many are solved."""
    from agent.ui.counted import count_bar

    done = solved = 0
    with count_bar("samples", silent=silent) as show:

        def count(result: Result) -> None:
            nonlocal done, solved
            done += 1
            solved += result.resolved is True
            show(done, planned, f"{solved} solved; {result.instance_id}: {result.failure.value}")

        yield count


def _report(
    folder: Folder, summary: Summary, results: Sequence[Result], *, plots: bool, as_json: bool
) -> None:
    from rich.console import Console

    from agent.evaluate.plots import draw, in_terminal
    from agent.evaluate.records import export_predictions
    from agent.evaluate.report import details, markdown, table
    from agent.tasks.instance import write_text

    export_predictions(folder.path, summary.model, folder.samples.rows())
    write_text(
        folder.path / "summary.json", summary.model_dump_json(indent=2, by_alias=True) + "\n"
    )
    write_text(folder.path / "summary.md", markdown([summary]))
    labelled = {summary.model: results}
    drawn = ""
    if plots:
        try:
            draw(labelled, folder.path / "plots")
            drawn = in_terminal(labelled)
        except AgentError as error:
            print(f"agent: no plots: {error} {error.hint}", file=sys.stderr)
    if as_json:
        print(summary.line())
        return
    console = Console()
    console.print(table([summary]))
    for part in details(summary):
        console.print(part)
    if drawn and console.is_terminal:
        print(drawn)
    for result in results:
        if result.resolved is None:
            print(f"{result.instance_id}: {result.reason}", file=sys.stderr)
    print(f"results: {folder.path}", file=sys.stderr)
