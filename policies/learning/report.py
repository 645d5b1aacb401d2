"""Curves of a training run: live in the terminal, as PNG, and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

Row = dict[str, float]
"""One step: numbers by name. `step` counts from 1; what was not measured is absent."""

CURVES: Mapping[str, str] = {
    "reward": "mean reward of the step's trajectories",
    "loss": "loss of the policy",
    "value_loss": "loss of the values",
    "kl": "KL divergence from the reference (nats a token)",
    "kl_start": "KL divergence of the policy at the start from this one (nats a token)",
    "entropy": "entropy (nats a token)",
    "length": "trained tokens a trajectory",
    "clip_fraction": "share of tokens that were clipped",
    "grad_norm": "norm of the gradient before clipping",
    "accuracy": "share of pairs in the right order",
    "tokens_per_second": "trained tokens a second",
    "read_per_second": "tokens a second, prompts included",
    "memory_mb": "peak memory (MB)",
}
_LIVE = (
    "loss", "value_loss", "reward", "kl", "kl_start", "entropy", "clip_fraction",
    "tokens_per_second", "read_per_second",
)  # fmt: skip
_WIDTH, _HEIGHT = 72, 12


def peak_memory_mb() -> float:
    """Peak memory of this process: allocated on the GPU where it uses one, else resident."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_allocated()) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (2**20 if sys.platform == "darwin" else 2**10)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write curves as `{"schema": 1, "curves": {name: what it is}, "rows": [...]}`, atomically."""
    scratch = path.with_name(f".{path.name}.new")
    shown = {name: text for name, text in CURVES.items() if any(name in row for row in rows)}
    scratch.write_text(json.dumps({"schema": 1, "curves": shown, "rows": rows}), encoding="utf-8")
    scratch.replace(path)


def draw(rows: Sequence[Row], path: Path) -> bool:
    """Draw all curves into a PNG file; False when matplotlib is missing or there is no row."""
    names = [name for name in CURVES if any(name in row for row in rows)]
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not names:
        return False
    figure = Figure(figsize=(10, 2.4 * -(-len(names) // 2)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names):
        axes = figure.add_subplot(-(-len(names) // 2), 2, place + 1)
        points = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot(
            *zip(*points, strict=True), color="#332288", marker="." if len(points) < 40 else ""
        )
        axes.set_title(CURVES[name], loc="left", fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(color="#DDDDDD", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    return True


def in_terminal(rows: Sequence[Row], name: str) -> str:
    """One curve as text without colour; empty where it has no point or plotext is missing."""
    points = [(row["step"], row[name]) for row in rows if name in row]
    try:
        figure: Any = import_module("plotext").figure
    except ImportError:
        return ""
    if not points:
        return ""
    figure.clear()
    try:
        figure.plot_size(_WIDTH, _HEIGHT)
        figure.title(CURVES[name])
        x, y = (list(axis) for axis in zip(*points, strict=True))
        figure.draw(figure.signal(x, y, marker="o").lines(len(x) > 1))
        return str(figure.build().string(colorless=True))
    finally:
        figure.clear()


def line(row: Row, total: int) -> str:
    """A step in one line."""
    parts = [f"{name} {row[name]:.4g}" for name in _LIVE if name in row]
    return f"step {row['step']:.0f} of {total}: {', '.join(parts)}"


@contextmanager
def live(label: str, *, silent: bool = False) -> Iterator[Callable[[Row, int], None]]:
    """A callback (row, steps in all): curves with a bar in a terminal, else a line for a step."""
    if silent:
        yield lambda row, total: None
        return
    if not sys.stderr.isatty():
        yield lambda row, total: print(line(row, total), file=sys.stderr, flush=True)
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.text import Text

    rows: list[Row] = []
    text = TextColumn("{task.description}")
    bar = Progress(text, BarColumn(), MofNCompleteColumn(), Elapsed(), Remaining())
    task = bar.add_task(label, total=None)
    with Live(bar, console=Console(stderr=True), refresh_per_second=4) as view:

        def show(row: Row, total: int) -> None:
            rows.append(row)
            bar.update(task, completed=int(row["step"]), total=total)
            curves = [in_terminal(rows, name) for name in ("loss", "reward") if name in row]
            view.update(Group(*(Text(curve) for curve in curves), Text(line(row, total)), bar))

        yield show
