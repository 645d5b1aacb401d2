"""What an evaluation found: one summary a run, as data, as tables for people, as Markdown."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Literal

from pydantic import Field
from rich.table import Table

from agent.documents import Document, Part
from agent.evaluate.results import Failure, Result
from agent.evaluate.statistics import pass_at_k, wilson
from agent.tasks.instance import project_of
from agent.ui.tables import markdown_table, rich_table
from agent.ui.text import printable

UNNAMED = "(none)"


class PassAtK(Part):
    """pass@k with its 95 % interval, over the `tasks` that have at least k scored samples."""

    k: int
    estimate: float
    low: float
    high: float
    tasks: int


class Rate(Part):
    """The solve rate of a group of tasks: the mean over tasks of their samples' rates.

    Only scored samples and tasks with one count. `solved`: tasks that any sample solved. The 95 %
    interval is over tasks.
    """

    name: str
    tasks: int
    samples: int
    solved: int
    rate: float
    low: float
    high: float


class Amount(Part):
    """A quantity over all samples, and its median by sample."""

    total: float
    median: float


class Summary(Document):
    """A run of an evaluation. Times are wall seconds, rates are fractions.

    `samples` is how many ran, of `planned`; `samples_per_task` the fewest that any task has.
    `problems`: tasks that could not be run at all. Samples that could not be scored count in
    `unscored` and in `unscored_causes`, in the costs and in nothing else. `false_claims`: called
    verified by the agent, but wrong by the scorer. The overhead is of runs of the agent alone.
    """

    name: Literal["apprentice.summary"] = Field(default="apprentice.summary", alias="schema")
    version: Literal[1] = 1
    model: str
    variant: str
    planned: int
    problems: int
    tasks: int
    samples: int
    samples_per_task: int
    solved_tasks: int
    pass_at: tuple[PassAtK, ...]
    claimed: int
    false_claims: int
    unscored: int
    failures: dict[Failure, int]
    unscored_causes: dict[Failure, int]
    prompt_tokens: Amount
    cached_tokens: Amount
    completion_tokens: Amount
    seconds: Amount
    model_seconds: float
    test_seconds: float
    score_test_seconds: float
    overhead_seconds: float
    overhead_share: float
    families: tuple[Rate, ...]
    repositories: tuple[Rate, ...]


def scored(results: Iterable[Result]) -> dict[str, list[bool]]:
    """By task, whether each of its scored samples solved it; tasks with none are left out."""
    tasks: defaultdict[str, list[bool]] = defaultdict(list)
    for result in results:
        if result.resolved is not None:
            tasks[result.instance_id].append(result.resolved)
    return dict(tasks)


def pass_rates(results: Iterable[Result]) -> dict[str, float]:
    """By task, the share of its scored samples that solved it."""
    return {task: sum(samples) / len(samples) for task, samples in scored(results).items()}


def pass_curve(results: Sequence[Result]) -> tuple[PassAtK, ...]:
    """pass@k for k from 1 to the fewest samples of any task, while tasks have k scored ones."""
    samples = Counter(result.instance_id for result in results)
    counts = ((len(task), sum(task)) for task in scored(results).values())
    return curve_of(counts, min(samples.values(), default=0))


def curve_of(
    tasks: Iterable[tuple[int, int]], most: int, *, all_tasks: bool = False
) -> tuple[PassAtK, ...]:
    """pass@k for k up to `most`, of tasks with (scored samples, those that solve it).

    A task with fewer than k counts with those that it has when `all_tasks` do, or not at all.
    """
    tasks = [(n, c) for n, c in tasks if n]
    curve = []
    for k in range(1, most + 1):
        chances = [pass_at_k(n, c, min(k, n)) for n, c in tasks if all_tasks or n >= k]
        if chances:
            total, count = math.fsum(chances), len(chances)
            low, high = wilson(total, count)
            curve.append(PassAtK(k=k, estimate=total / count, low=low, high=high, tasks=count))
    return tuple(curve)


def rates_by(results: Iterable[Result], group: Callable[[Result], str]) -> tuple[Rate, ...]:
    """The solve rate of each group that has a scored sample, by the name of the group."""
    groups: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.resolved is not None:
            groups[group(result) or UNNAMED].append(result)
    return tuple(_rate(name, groups[name]) for name in sorted(groups))


def _rate(name: str, results: Sequence[Result]) -> Rate:
    rates = pass_rates(results).values()
    total = math.fsum(rates)
    low, high = wilson(total, len(rates))
    return Rate(
        name=name,
        tasks=len(rates),
        samples=len(results),
        solved=sum(rate > 0 for rate in rates),
        rate=total / len(rates),
        low=low,
        high=high,
    )


def summarise(results: Sequence[Result], planned: int, problems: int) -> Summary:
    """Sum up the samples of one model on one variant of the tasks.

    `planned` is the number of samples that were to run, `problems` the number of tasks that could
    not. Raises ValueError when the samples are of several runs or one of them stands there twice.
    """
    runs = {(result.model, result.variant) for result in results}
    if len(runs) > 1:
        raise ValueError(f"one summary cannot hold several runs: {sorted(runs)}")
    samples = Counter(result.instance_id for result in results)
    if len({(result.instance_id, result.sample) for result in results}) < len(results):
        raise ValueError("a sample of a task stands in the results twice")
    model, variant = runs.pop() if runs else ("", "")
    unscored = [result for result in results if result.resolved is None]
    spent = sum(result.seconds + result.score_test_seconds for result in results)
    overhead = sum(result.overhead_seconds for result in results)
    return Summary(
        model=model,
        variant=variant,
        planned=planned,
        problems=problems,
        tasks=len(samples),
        samples=len(results),
        samples_per_task=min(samples.values(), default=0),
        solved_tasks=sum(any(task) for task in scored(results).values()),
        pass_at=pass_curve(results),
        claimed=sum(result.claimed for result in results),
        false_claims=sum(result.claimed and result.resolved is False for result in results),
        unscored=len(unscored),
        failures=count_failures(result for result in results if result.resolved is not None),
        unscored_causes=count_failures(unscored),
        prompt_tokens=_amount(result.prompt_tokens - result.cached_tokens for result in results),
        cached_tokens=_amount(result.cached_tokens for result in results),
        completion_tokens=_amount(result.completion_tokens for result in results),
        seconds=_amount(result.seconds for result in results),
        model_seconds=sum(result.model_seconds for result in results),
        test_seconds=sum(result.test_seconds for result in results),
        score_test_seconds=sum(result.score_test_seconds for result in results),
        overhead_seconds=overhead,
        overhead_share=overhead / (spent + overhead) if overhead else 0.0,
        families=rates_by(results, lambda result: result.family),
        repositories=rates_by(results, lambda result: project_of(result.repo)),
    )


def count_failures(results: Iterable[Result]) -> dict[Failure, int]:
    """How often each class occurs, in the order of the classes; those that do not are left out."""
    counts = Counter(result.failure for result in results)
    return {failure: counts[failure] for failure in Failure if counts[failure]}


def _amount(values: Iterable[float]) -> Amount:
    numbers = list(values)
    return Amount(total=sum(numbers), median=median(numbers) if numbers else 0.0)


def _cells(summary: Summary, ks: Sequence[int]) -> dict[str, str]:
    """One row of the comparison, by heading."""
    passes = {point.k: point for point in summary.pass_at}
    return {
        "model\n(variant)": f"{printable(summary.model) or UNNAMED}\n({summary.variant})",
        "solved\ntasks": f"{summary.solved_tasks}\nof {summary.tasks}",
        **{f"pass@{k}\n%": _percent(passes.get(k), "\n") for k in ks},
        "false\nclaims": f"{summary.false_claims}\nof {summary.claimed}",
        "samples": f"{summary.samples}\nof {summary.planned}",
        "not\nscored": f"{summary.unscored}",
        "median\ncost": f"{_tokens(summary)}{summary.seconds.median:,.1f} s",
    }


def _tokens(summary: Summary) -> str:
    """Median tokens in and out; nothing of patches from elsewhere, whose tokens nobody counted."""
    if not (summary.prompt_tokens.total or summary.completion_tokens.total):
        return ""
    tokens = (summary.prompt_tokens.median, summary.completion_tokens.median)
    return "{:,.0f} in,\n{:,.0f} out,\n".format(*tokens)


def _rows(summaries: Sequence[Summary]) -> list[dict[str, str]]:
    """Rows with the same headings: pass@1 and, for each run, its largest k."""
    ends = {summary.pass_at[-1].k for summary in summaries if summary.pass_at}
    ks = sorted(ends | {1})
    return [_cells(summary, ks) for summary in summaries]


def _percent(point: PassAtK | Rate | None, gap: str = " ") -> str:
    if point is None:
        return "–"
    value = point.rate if isinstance(point, Rate) else point.estimate
    return f"{100 * value:.1f}{gap}({100 * point.low:.0f}–{100 * point.high:.0f})"


def _note(summaries: Sequence[Summary]) -> str:
    note = (
        "Brackets: 95 % intervals. Cost by sample: prompt tokens not from cache, completion "
        "tokens, seconds of the agent."
    )
    if any(summary.problems for summary in summaries):
        problems = ", ".join(f"{summary.problems}" for summary in summaries)
        note += f" Tasks that could not be run, by row: {problems}."
    return note


def table(summaries: Sequence[Summary]) -> Table:
    """Runs side by side, a row each."""
    return rich_table("Evaluation", _rows(summaries), _note(summaries))


def details(summary: Summary) -> tuple[Table, ...]:
    """How the samples of a run ended, what they cost, and its solve rates by group."""
    ends = [_share(name, count, summary.samples) for name, count in _ends(summary)]
    tables = [rich_table("How samples ended", ends), rich_table("Cost", _costs(summary))]
    for title, rates in (("family", summary.families), ("repository", summary.repositories)):
        rows = [
            {
                title: printable(rate.name),
                "tasks": f"{rate.tasks}",
                "solved": f"{rate.solved}",
                "samples": f"{rate.samples}",
                "solve rate, %": _percent(rate),
            }
            for rate in rates
        ]
        tables.append(rich_table(f"Solve rate by {title}", rows))
    return tuple(tables)


def _ends(summary: Summary) -> list[tuple[str, int]]:
    causes = [(f"not scored: {name}", count) for name, count in summary.unscored_causes.items()]
    return [*((str(name), count) for name, count in summary.failures.items()), *causes]


def _share(name: str, count: int, total: int) -> dict[str, str]:
    return {"end": name, "samples": f"{count}", "%": f"{100 * count / total:.1f}"}


def _costs(summary: Summary) -> list[dict[str, str]]:
    amounts = {
        "prompt tokens, not from cache": summary.prompt_tokens,
        "prompt tokens, from cache": summary.cached_tokens,
        "completion tokens": summary.completion_tokens,
        "seconds of the agent": summary.seconds,
    }
    parts = {
        "– of them in the model": summary.model_seconds,
        "– of them in tests": summary.test_seconds,
        "seconds of the scorer's tests": summary.score_test_seconds,
    }
    if summary.overhead_seconds:
        name = f"seconds of overhead ({100 * summary.overhead_share:.1f} % of all)"
        parts[name] = summary.overhead_seconds
    rows = [(name, amount.total, f"{amount.median:,.0f}") for name, amount in amounts.items()]
    rows += [(name, seconds, "") for name, seconds in parts.items()]
    return [
        {"cost": name, "total": f"{total:,.0f}", "median": middle}
        for name, total, middle in rows
        if total
    ]


def markdown(summaries: Sequence[Summary]) -> str:
    """The same table in GitHub's Markdown, with the line end; empty of no runs."""
    return f"{markdown_table(_rows(summaries))}\n{_note(summaries)}\n" if summaries else ""
