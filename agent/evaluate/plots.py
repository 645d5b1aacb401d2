"""Plots of evaluations, as PNG files and as text: one or several runs, by label."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from agent.evaluate.report import PassAtK, pass_curve, rates_by, scored
from agent.evaluate.results import Failure, Result
from agent.status import EnvironmentFailure
from agent.ui.text import printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Runs = Mapping[str, Sequence[Result]]

# The "muted" scheme of Paul Tol (SRON/EPS/TN/09-002), told apart with any colour vision.
_INDIGO, _CYAN, _TEAL, _GREEN = "#332288", "#88CCEE", "#44AA99", "#117733"
_OLIVE, _SAND, _ROSE, _WINE = "#999933", "#DDCC77", "#CC6677", "#882255"
_PURPLE, _GREY, _INK, _DIM = "#AA4499", "#DDDDDD", "#222222", "#777777"
_LINES = (_INDIGO, _ROSE, _GREEN, _PURPLE, _TEAL, _WINE, _OLIVE, _CYAN, _SAND)
_DASHES = ("-", "--", "-.", ":")
_DARK = frozenset({_INDIGO, _GREEN, _WINE, _PURPLE})
_ENDS = {
    Failure.SOLVED: _GREEN,
    Failure.FALSE_CLAIM: _WINE,
    Failure.WRONG: _ROSE,
    Failure.REGRESSION: _PURPLE,
    Failure.TAMPERED: _DIM,
    Failure.BY_HEART: _INK,
    Failure.NOT_APPLICABLE: _SAND,
    Failure.NO_PATCH: _CYAN,
    Failure.OUT_OF_TIME: _INDIGO,
    Failure.OUT_OF_TOKENS: _TEAL,
    Failure.ENVIRONMENT: _OLIVE,
    Failure.CRASHED: _GREY,
}
_UNSCORED = "not scored"
_MARKS = "ox+*#%@&=~"
_POINTS = "osD^vP*X<"
_WIDTH, _HEIGHT = 80, 20


def draw(results_by_label: Runs, folder: Path) -> list[Path]:
    """Draw every plot that the results allow into the folder, and return the PNG files.

    pass-at-k, solved-over-time and families need a scored sample; failures needs a sample.
    Raises EnvironmentFailure when matplotlib is missing or a file cannot be written.
    """
    _load("matplotlib")
    ran = {label: results for label, results in results_by_label.items() if results}
    runs = {label: results for label, results in ran.items() if scored(results)}
    plots = {"failures": _failures(ran)} if ran else {}
    if runs:
        plots["pass-at-k"] = _pass_at_k(runs)
        plots["solved-over-time"] = _over_time(runs)
        plots["families"] = _families(runs)
    paths = []
    for name, figure in plots.items():
        path = folder / f"{name}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=150)
        except OSError as error:
            raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error
        paths.append(path)
    return paths


def in_terminal(results_by_label: Runs) -> str:
    """pass@k as text without colour, at most 80 columns wide; the solved tasks over time if k is 1.

    Empty of no scored samples. Raises EnvironmentFailure when plotext is missing.
    """
    figure = _load("plotext").figure
    runs = {label: results for label, results in results_by_label.items() if scored(results)}
    if not runs:
        return ""
    curves = [pass_curve(results) for results in runs.values()]
    longest = max(map(len, curves))
    if longest > 1:
        title, across, up = "pass@k", "k (samples)", "tasks solved (%)"
        lines = [_percents(curve) for curve in curves]
        limits = (1, longest), (0, 100)
    else:
        unit, seconds = _unit(runs)
        title, across, up = "Solved tasks over time", f"time of the agent ({unit})", "tasks"
        lines = [_solved_by(results, seconds) for results in runs.values()]
        ends = [max(line[axis][-1] for line in lines) for axis in (0, 1)]
        limits = (0, max(1, math.ceil(ends[0]))), (0, max(1, math.ceil(ends[1])))
    figure.clear()
    try:
        figure.plot_size(_WIDTH, _HEIGHT)
        figure.title(f"{title}, {_counts(runs)}")
        for axis, label, limit in zip("xy", (across, up), limits, strict=True):
            ticks = _whole(*limit)
            figure.label(label, axis)
            figure.ruler(axis).lim(*limit)
            figure.ruler(axis).ticks(ticks, list(map(str, ticks)))
        for (x, y), mark in zip(lines, cycle(_MARKS), strict=False):
            figure.draw(figure.signal(x, y, marker=mark).lines(len(x) > 1))
        drawn = str(figure.build().string(colorless=True))
    finally:
        figure.clear()
    marked = zip(runs, cycle(_MARKS), strict=False)
    legend = [f"  {mark} {' '.join(printable(label).split())}"[:_WIDTH] for label, mark in marked]
    return "".join(f"{row.rstrip()}\n" for row in [*drawn.splitlines(), *legend])


def _load(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise EnvironmentFailure(
            f"Plots need {name}, which cannot be imported: {error}",
            "Run `pip install 'apprentice-agent[eval]'`.",
        ) from error


def _pass_at_k(runs: Runs) -> Figure:
    figure, axes = _figure(f"pass@k, {_counts(runs)}", runs)
    curves = {label: pass_curve(results) for label, results in runs.items()}
    longest = max(map(len, curves.values()))
    drawn: list[tuple[Artist, str]] = []
    for number, (label, curve) in enumerate(curves.items()):
        colour, mark = _LINES[number % len(_LINES)], _POINTS[number % len(_POINTS)]
        aside = 0.4 * ((number + 0.5) / len(curves) - 0.5) if longest == 1 else 0.0
        k = [point.k + aside for point in curve]
        middle, low, high = (
            [100 * getattr(point, name) for point in curve] for name in ("estimate", "low", "high")
        )
        (line,) = axes.plot(k, middle, color=colour, marker=mark)
        drawn.append((line, _text(label, 60)))
        if longest == 1:
            axes.vlines(k, low, high, color=colour)
        else:
            axes.fill_between(k, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xticks(_whole(1, longest))
    axes.set_xlim(*((0.75, 1.25) if longest == 1 else (0.9, longest + 0.1)))
    axes.set_ylim(0, 100)
    axes.set_xlabel("k (samples)")
    axes.set_ylabel("tasks solved (%), with 95 % interval")
    _legend(figure, drawn)
    return figure


def _over_time(runs: Runs) -> Figure:
    unit, seconds = _unit(runs)
    figure, axes = _figure(f"Solved tasks over time, {_counts(runs)}", runs)
    highest = 1.0
    drawn: list[tuple[Artist, str]] = []
    for number, (label, results) in enumerate(runs.items()):
        x, y = _solved_by(results, seconds)
        highest = max(highest, y[-1])
        name = f"{_text(label, 60)}: {y[-1]:.0f} of {len(scored(results))}"
        colour = _LINES[number % len(_LINES)]
        (line,) = axes.plot(x, y, color=colour, linestyle=_DASHES[number % len(_DASHES)])
        drawn.append((line, name))
    axes.set_yticks(_whole(0, int(highest)))
    axes.set_xlim(left=0)
    axes.set_ylim(0, highest * 1.05)
    axes.set_xlabel(f"wall time of the agent, summed over samples ({unit})")
    axes.set_ylabel("tasks solved (number)")
    _legend(figure, drawn)
    return figure


def _failures(runs: Runs) -> Figure:
    figure, axes = _figure(f"How samples ended, {_counts(runs)}", runs, 2.7 + 0.5 * len(runs))
    names = [f"{_text(label, 28)}\n(n = {len(results)})" for label, results in runs.items()]
    places = range(len(runs))
    shares = [_shares(results) for results in runs.values()]
    left = [0.0] * len(runs)
    drawn: list[tuple[Artist, str]] = []
    for end, colour in [*_ENDS.items(), (_UNSCORED, "white")]:
        widths = [share.get(end, 0.0) for share in shares]
        if not any(widths):
            continue
        hatch = "///" if end == _UNSCORED else None
        bars = axes.barh(places, widths, 0.7, left, color=colour, hatch=hatch)
        drawn.append((bars[0], str(end)))
        for bar in bars:
            bar.set(edgecolor=_INK, linewidth=0.5)
        ink = "white" if colour in _DARK else _INK
        values = [f"{width:.0f}" if width >= 4 and not hatch else "" for width in widths]
        axes.bar_label(bars, values, label_type="center", color=ink, fontsize=9)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the samples (%)")
    _legend(figure, drawn, columns=4)
    return figure


def _families(runs: Runs) -> Figure:
    rates = {
        label: {rate.name: rate for rate in rates_by(results, lambda result: result.family)}
        for label, results in runs.items()
    }
    names = sorted({name for of_run in rates.values() for name in of_run})
    height = 2.2 + len(names) * max(0.45, 0.22 * len(runs))
    figure, axes = _figure(f"Solve rate by family, {_counts(runs)}", runs, height)
    thick = 0.8 / len(runs)
    drawn: list[tuple[Artist, str]] = []
    for number, (label, of_run) in enumerate(rates.items()):
        shown = [(place, of_run[name]) for place, name in enumerate(names) if name in of_run]
        y = [place + thick * (number - (len(runs) - 1) / 2) for place, _ in shown]
        errors = [
            [100 * max(0.0, rate.rate - rate.low) for _, rate in shown],
            [100 * max(0.0, rate.high - rate.rate) for _, rate in shown],
        ]
        bars = axes.barh(
            y,
            [100 * rate.rate for _, rate in shown],
            thick * 0.9,
            xerr=errors,
            color=_LINES[number % len(_LINES)],
            alpha=0.6,
            error_kw={"ecolor": _INK, "elinewidth": 1, "capsize": 2},
        )
        drawn.append((bars[0], _text(label, 60)))
    most = {name: max(of[name].tasks for of in rates.values() if name in of) for name in names}
    axes.set_yticks(range(len(names)), [f"{_text(name, 28)} (n = {most[name]})" for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("samples that solve their task (%), mean over n tasks, with 95 % interval")
    _legend(figure, drawn)
    return figure


def _figure(title: str, runs: Runs, height: float = 4.4) -> tuple[Figure, Axes]:
    """A figure 8 inches wide with one pair of axes and room for the legend, without pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height + 0.2 * len(runs)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    models = sorted({result.model for results in runs.values() for result in results})
    lines = textwrap.wrap(_text(", ".join(models), 180), 60)
    axes.set_title("\n".join(lines), loc="left", fontsize=9, color="#555555")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    axes.grid(color=_GREY, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Figure, drawn: Sequence[tuple[Artist, str]], columns: int = 1) -> None:
    """The names of what was drawn, below the axes where they cover nothing."""
    handles, names = zip(*drawn, strict=True)
    figure.legend(
        handles, names, loc="outside lower left", ncols=columns, frameon=False, fontsize=9
    )


def _text(text: str, longest: int) -> str:
    """Text from outside for a plot: on one line, shortened in the middle, no mathematics in it."""
    line = " ".join(printable(text).split())
    half = longest // 2 - 1
    short = line if len(line) <= longest else f"{line[:half].rstrip()} … {line[-half:].lstrip()}"
    return short.replace("$", r"\$")


def _counts(runs: Runs) -> str:
    """How many tasks and at most how many samples a task are plotted; a range where runs differ."""
    tasks = sorted({len(scored(results)) for results in runs.values()})
    number = f"{tasks[0]}" if len(tasks) == 1 else f"{tasks[0]}–{tasks[-1]}"
    samples = max(len(pass_curve(results)) for results in runs.values())
    return f"n = {number} tasks, k {'≤' if samples > 1 else '='} {samples}"


def _shares(results: Sequence[Result]) -> dict[str, float]:
    """Percent of the samples by how they ended; those not scored are one end of their own."""
    ends = Counter(_UNSCORED if r.resolved is None else r.failure.value for r in results)
    return {end: 100 * count / len(results) for end, count in ends.items()}


def _percents(curve: Sequence[PassAtK]) -> tuple[list[float], list[float]]:
    return [float(point.k) for point in curve], [100 * point.estimate for point in curve]


def _unit(runs: Runs) -> tuple[str, float]:
    """The unit of time that suits the longest run, and its seconds."""
    longest = max(sum(result.seconds for result in results) for results in runs.values())
    if longest >= 3 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if longest >= 300 else ("seconds", 1.0)


def _solved_by(results: Sequence[Result], unit: float) -> tuple[list[float], list[float]]:
    """The corners of a staircase: time in units, tasks solved so far in the order of the rows."""
    x, y = [0.0], [0.0]
    solved: set[str] = set()
    spent = 0.0
    for result in results:
        spent += result.seconds / unit
        if result.resolved and result.instance_id not in solved:
            solved.add(result.instance_id)
            x += [spent, spent]
            y += [y[-1], len(solved)]
    return [*x, spent], [*y, y[-1]]


def _whole(first: int, last: int) -> list[int]:
    """At most nine whole numbers that divide a range evenly, the first one among them."""
    step = next(
        factor * 10**power
        for power in range(12)
        for factor in (1, 2, 5)
        if (last - first) / (factor * 10**power) <= 8
    )
    return list(range(first, last + 1, step))
