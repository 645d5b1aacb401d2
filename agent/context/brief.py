"""The brief: what every attempt is told, packed into a token budget, most useful first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.context.prompts import render
from tools.base import capped
from tools.codemap import Codemap, Symbol
from tools.testing.results import PASSING, TestRun

MAX_SUSPECTS = 8
MAX_FAILURES = 3
MESSAGE_CHARACTERS = 900


@dataclass(frozen=True)
class FailureView:
    """A failing test as the policy sees it."""

    id: str
    message: str
    source: str = ""


@dataclass(frozen=True)
class Brief:
    """The shared prompt, and the sources of the symbols that may be changed, by id."""

    system: str
    task: str
    sources: Mapping[str, str]
    infill_system: str = ""
    infill_task: str = ""


def make_brief(
    issue: str,
    run: TestRun,
    targets: Sequence[str],
    codemap: Codemap,
    files: Mapping[str, bytes],
    ranked: Sequence[tuple[str, float]],
    *,
    calls_tools: bool,
    prompt_tokens: int,
    count: Callable[[str], int],
) -> Brief:
    """Pack issue, failures and suspects into at most `prompt_tokens` (as `count` counts).

    The first suspect is always shown in full; what does not fit is shown by signature.
    """
    suspects = [codemap.symbols[name] for name, _ in ranked[:MAX_SUSPECTS]]
    sources = {s.id: s.text(files[s.path]) for s in suspects}
    tests = {t: _test_source(codemap, files, t) for t in targets}
    failures = views(run, targets, tests)
    shown: list[Symbol] = []

    def text(shown: Sequence[Symbol], failures: Sequence[FailureView]) -> str:
        others = [s for s in suspects if s not in shown]
        return render(
            "task",
            issue=issue,
            failures=failures,
            suspects=[{"id": s.id, "source": sources[s.id]} for s in shown],
            others=[{"id": s.id, "signature": s.signature} for s in others],
        )

    while len(failures) > 1 and count(text(suspects[:1], failures)) > prompt_tokens:
        failures = failures[:-1]
    for symbol in suspects:
        if shown and count(text([*shown, symbol], failures)) > prompt_tokens:
            continue
        shown.append(symbol)
    return Brief(
        system=render("system", calls_tools=calls_tools),
        task=text(shown, failures),
        sources={s.id: sources[s.id] for s in shown},
        infill_system=render("infill_system"),
        infill_task=render("infill_task", issue=issue, failures=failures),
    )


def views(
    run: TestRun, targets: Sequence[str], sources: Mapping[str, str] | None = None
) -> list[FailureView]:
    """The first failures among `targets`, with the tests' sources when they are given."""
    seen: list[FailureView] = []
    for test in targets:
        outcome = run.outcomes.get(test, "missing")
        if outcome in PASSING or len(seen) == MAX_FAILURES:
            continue
        failure = run.failures.get(test)
        message = failure.longrepr or failure.message if failure else outcome
        if outcome == "hung":
            message = f"The test never ends (stopped).\n{message}"
        seen.append(FailureView(test, _tail(message), (sources or {}).get(test, "")))
    return seen


def _test_source(codemap: Codemap, files: Mapping[str, bytes], test: str) -> str:
    path, _, rest = test.partition("::")
    name = rest.split("[", 1)[0].replace("::", ".")
    symbol = codemap.symbols.get(f"{path}::{name}")
    return symbol.text(files[path]) if symbol else ""


def _tail(message: str) -> str:
    """The end of a failure: pytest puts the assertion and its values last."""
    text, _ = capped(message.strip(), MESSAGE_CHARACTERS)
    return text
