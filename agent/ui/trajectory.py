"""A stored trajectory as text for people: prompts, completions, tests, diffs and the verdict.

Everything here is a function of events. Stored texts come from models and repositories, so
their terminal escapes and control characters are shown, never sent.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from rich.text import Text

from agent.ui.text import printable
from policies.experience.events import (
    Acted,
    Applied,
    AttemptEnded,
    Event,
    Feedback,
    Finished,
    Judged,
    Located,
    Observed,
    Patched,
    Prepared,
    Prompted,
    Sampled,
    Screened,
    Shortened,
    TaskStarted,
    Tested,
)

_BAD = ("failed", "error", "hung")
_STYLES = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "hung": "red",
    "skipped": "yellow",
    "xfailed": "yellow",
    "xpassed": "yellow",
}


class Caps(NamedTuple):
    """How much of a text is shown, in characters and lines, and how many names of a list."""

    characters: int
    lines: int
    names: int


CAPPED = Caps(characters=2000, lines=24, names=12)


def duration(seconds: float) -> str:
    """Seconds as people write them: 0.4s, 12s, 3m 05s, 2h 10m."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def render(events: Iterable[Event], *, full: bool = False) -> Iterator[Text]:
    """A trajectory as paragraphs, a heading before each change of attempt, round or phase."""
    caps = None if full else CAPPED
    baseline: dict[str, str] = {}
    where: tuple[object, ...] = (None, None, None)
    for event in events:
        here = (event.attempt, event.round, event.phase)
        if here != where and (heading := _heading(event)):
            yield heading
        where = here
        if isinstance(event, Tested):
            yield _tested(event, baseline, caps)
            if event.label == "baseline":
                baseline = dict(event.outcomes)
        else:
            yield _RENDERERS[type(event)](event, caps)


def _heading(event: Event) -> Text | None:
    parts = [
        f"attempt {event.attempt}" if event.attempt is not None else "",
        f"round {event.round}" if event.round is not None else "",
        event.phase or "",
    ]
    title = ", ".join(part for part in parts if part)
    return Text(f"\n── {title} ──", style="bold cyan") if title else None


def _started(event: TaskStarted, caps: Caps | None) -> Text:
    text = _titled("task", f"{event.repository} at {event.base_commit[:12]}", dirty=event.dirty)
    rows = {
        "model": event.policy_version,
        "sandbox": event.sandbox,
        "version": event.package_version,
        "settings": _json(event.settings) if event.settings else "",
    }
    for name, value in rows.items():
        if value:
            text.append(f"\n  {name}: ", style="dim")
            text.append(_cap(value, caps))
    return text.append("\n").append(_indented(event.issue, caps))


def _prepared(event: Prepared, caps: Caps | None) -> Text:
    command = " ".join(event.test_command) or "none found"
    text = _titled(
        "workspace",
        f"{event.sandbox}, {event.files} files, {event.bytes:,} bytes, {duration(event.seconds)}",
    )
    return text.append("\n  tests: ", style="dim").append(_cap(command, caps))


def _prompted(event: Prompted, caps: Caps | None) -> Text:
    text = _titled("prompt", event.message.role, style="magenta")
    text.append("\n").append(_indented(event.message.content, caps))
    return _with_calls(text, event.message.tool_calls, caps)


def _sampled(event: Sampled, caps: Caps | None) -> Text:
    usage = event.usage
    text = _titled(
        "completion" if event.chosen else "completion (not chosen)",
        f"{usage.completion} tokens after {usage.prompt} ({usage.cached} cached), "
        f"{duration(event.seconds)}, {event.finish_reason}",
        style="green" if event.chosen else "dim",
    )
    text.append("\n").append(_indented(event.text, caps))
    return _with_calls(text, event.tool_calls, caps)


def _acted(event: Acted, caps: Caps | None) -> Text:
    return _titled("action", event.tool, style="yellow").append(
        f"\n{_indented(_json(event.arguments), caps)}"
    )


def _observed(event: Observed, caps: Caps | None) -> Text:
    text = _titled(
        "observation",
        f"{event.tool}, {'ok' if event.ok else 'refused or failed'}, {duration(event.seconds)}",
        style="yellow" if event.ok else "red",
    )
    text.append("\n").append(_indented(event.text, caps))
    if event.cut:
        text.append(f"\n  … {event.cut:,} characters were never stored", style="dim")
    return text


def _tested(event: Tested, baseline: Mapping[str, str], caps: Caps | None) -> Text:
    counts: Counter[str] = Counter(event.outcomes.values())
    ending = f"killed: {event.killed_by}" if event.killed_by else f"exit {event.exit_code}"
    text = _titled(f"tests, {event.label}", f"{ending}, {duration(event.seconds)}")
    if not event.complete:
        text.append(" (incomplete)", style="red")
    text.append("\n  ")
    for outcome, style in _STYLES.items():
        if counts[outcome]:
            text.append(f"{counts[outcome]} {outcome}  ", style=style)
    if not counts:
        text.append("no results", style="red")
    bad = [name for name, outcome in event.outcomes.items() if outcome in _BAD]
    if event.label != "baseline" and baseline:
        fixed = [n for n, o in event.outcomes.items() if o == "passed" and baseline.get(n) in _BAD]
        broken = [n for n in bad if baseline.get(n) not in _BAD]
        lost = [n for n in baseline if n not in event.outcomes]
        _names(text, "fixed", fixed, caps, "green")
        _names(text, "broken", broken, caps, "red")
        _names(text, "not run", lost if event.label == "verification" else [], caps, "red")
        bad = [n for n in bad if n not in set(broken)]
        _names(text, "still failing", bad, caps, "red")
    else:
        _names(text, "failing", bad, caps, "red")
    if event.output:
        text.append("\n").append(_indented(event.output, caps))
    return text


def _screened(event: Screened, _: Caps | None) -> Text:
    return _titled(
        "edits tried",
        f"{event.tried:,}, {event.clean} pass, {event.left_out} left out, "
        f"{duration(event.seconds)}",
    )


def _shortened(event: Shortened, _: Caps | None) -> Text:
    return _titled("prompt shortened", f"by the oldest {event.observations} observations")


def _located(event: Located, caps: Caps | None) -> Text:
    text = _titled("suspects", duration(event.seconds))
    symbols = [f"{score:.3f}  {symbol}" for symbol, score in event.symbols]
    return _names(text, "", symbols, caps, "")


def _patched(event: Patched, caps: Caps | None) -> Text:
    text = _titled("patch")
    for line in _cap(event.diff or "(empty)", caps).rstrip("\n").split("\n"):
        text.append(f"\n  {line}", style=_diff_style(line))
    return text


def _judged(event: Judged, caps: Caps | None) -> Text:
    text = _titled(
        "verdict",
        "verified" if event.verified else "not verified",
        style="bold green" if event.verified else "bold red",
    )
    _names(text, "because", event.reasons, caps, "")
    _names(text, "findings", event.findings, caps, "red")
    _names(text, "suspicions", event.suspicions, caps, "yellow")
    _names(text, "fixed", event.fixed, caps, "green")
    _names(text, "broken", event.broken, caps, "red")
    rewards = [
        f"{name} {'not scored' if value is None else f'{value:g}'}"
        for name, value in event.rewards.items()
    ]
    return _names(text, "rewards", rewards, caps, "")


def _ended(event: AttemptEnded, _: Caps | None) -> Text:
    return _titled("attempt ended", event.reason)


def _applied(event: Applied, caps: Caps | None) -> Text:
    return _names(_titled("applied to", event.target), "", event.files, caps, "")


def _finished(event: Finished, caps: Caps | None) -> Text:
    good = event.exit_code == 0
    text = Text("\n").append_text(
        _titled(
            "finished",
            f"{event.status}, exit {event.exit_code}, {duration(event.seconds)}",
            style="bold green" if good else "bold red",
        )
    )
    if event.message:
        text.append("\n").append(_indented(event.message, caps))
    return text.append(
        f"\n  {event.prompt_tokens:,} prompt tokens ({event.cached_tokens:,} cached), "
        f"{event.completion_tokens:,} completion tokens; "
        f"model {duration(event.model_seconds)}, tests {duration(event.test_seconds)}",
        style="dim",
    )


def _feedback(event: Feedback, caps: Caps | None) -> Text:
    style = "bold green" if event.outcome in ("kept", "merged") else "bold red"
    text = _titled("feedback", f"{event.outcome}, says {event.source}", style=style)
    for more in (event.link, event.note):
        if more:
            text.append("\n").append(_indented(more, caps))
    return text


_RENDERERS: dict[type, Callable[[Any, Caps | None], Text]] = {
    TaskStarted: _started,
    Prepared: _prepared,
    Prompted: _prompted,
    Sampled: _sampled,
    Acted: _acted,
    Observed: _observed,
    Screened: _screened,
    Shortened: _shortened,
    Located: _located,
    Patched: _patched,
    Judged: _judged,
    AttemptEnded: _ended,
    Applied: _applied,
    Finished: _finished,
    Feedback: _feedback,
}


def _titled(title: str, detail: str = "", *, style: str = "bold", dirty: bool = False) -> Text:
    text = Text().append(title, style=style)
    if detail:
        text.append(f"  {printable(detail)}")
    if dirty:
        text.append("  with uncommitted changes", style="yellow")
    return text


def _with_calls(text: Text, calls: Iterable[Any], caps: Caps | None) -> Text:
    for call in calls:
        text.append(f"\n  → {printable(call.name)} ", style="yellow")
        text.append(_cap(_json(call.arguments), caps))
    return text


def _names(text: Text, title: str, names: Iterable[str], caps: Caps | None, style: str) -> Text:
    listed = list(names)
    if not listed:
        return text
    if title:
        text.append(f"\n  {title}:", style="dim")
    shown = listed if caps is None else listed[: caps.names]
    for name in shown:
        text.append("\n    ").append(_cap(name, caps).replace("\n", "\n    "), style=style)
    if len(shown) < len(listed):
        text.append(f"\n    … {len(listed) - len(shown)} more (--full shows them)", style="dim")
    return text


def _indented(text: str, caps: Caps | None) -> str:
    return "\n".join(f"  {line}" for line in _cap(text, caps).rstrip("\n").split("\n"))


def _cap(text: str, caps: Caps | None) -> str:
    if caps is None:
        return printable(text)
    shown = "\n".join(text[: caps.characters].split("\n")[: caps.lines])
    left = len(text.rstrip("\n")) - len(shown)
    if left <= 0:
        return printable(text)
    return f"{printable(shown)}\n… {left:,} more characters (--full shows them)"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _diff_style(line: str) -> str:
    if line.startswith(("diff ", "index ", "--- ", "+++ ")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
