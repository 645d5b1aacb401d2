"""The brief: what every attempt is told, packed into a token budget, most useful first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.context.prompts import render
from tools.base import capped
from tools.codemap import Codemap, Symbol
from tools.testing.results import PASSING, TestRun

MAX_SUSPECTS = 8
MAX_FAILURES = 3
MESSAGE_CHARACTERS = 900
LEAST_ISSUE_CHARACTERS = 600
MAX_NEIGHBOURS = 8


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
    changeable: Collection[str],
    calls_tools: bool,
    prompt_tokens: int,
    count: Callable[[str], int],
) -> Brief:
    """Pack issue, failures, suspects, and by signature what suspects call and are called by, where
    it is `changeable`.

    That is at most `prompt_tokens` (as `count` counts), unless the first suspect alone is more: it
    is always shown in full. A suspect that does not fit is shown by signature, a long issue without
    its middle.
    """
    suspects = [codemap.symbols[name] for name, _ in ranked[:MAX_SUSPECTS]]
    sources = {s.id: s.text(files[s.path]) for s in suspects}
    tests = {t: _test_source(codemap, files, t) for t in targets}
    failures = views(run, targets, tests)
    shown: list[Symbol] = []
    told, room = issue, len(issue)

    def text(
        shown: Sequence[Symbol], failures: Sequence[FailureView], more: Sequence[Symbol] = ()
    ) -> str:
        others = [*(s for s in suspects if s not in shown), *more]
        return render(
            "task",
            issue=told,
            failures=failures,
            suspects=[{"id": s.id, "source": sources[s.id]} for s in shown],
            others=[{"id": s.id, "signature": s.signature} for s in others],
        )

    def too_long(shown: Sequence[Symbol], more: Sequence[Symbol] = ()) -> bool:
        return count(text(shown, failures, more)) > prompt_tokens

    while len(failures) > 1 and too_long(suspects[:1]):
        failures = failures[:-1]
    infill_task = render("infill_task", issue=issue, failures=failures)
    while room > LEAST_ISSUE_CHARACTERS and too_long(suspects[:1]):
        room = max(LEAST_ISSUE_CHARACTERS, room * 2 // 3)
        told, _ = capped(issue, room)
    if too_long(suspects[:1]):
        failures = [replace(failure, source="") for failure in failures]
    for symbol in suspects:
        if not shown or not too_long([*shown, symbol]):
            shown.append(symbol)
    near: list[Symbol] = []
    new = (s for s in neighbours(codemap, shown) if s.id in changeable and s not in suspects)
    for symbol in new:
        if len(near) == MAX_NEIGHBOURS:
            break
        if not too_long(shown, [*near, symbol]):
            near.append(symbol)
    return Brief(
        system=render("system", calls_tools=calls_tools),
        task=text(shown, failures, near),
        sources={s.id: sources[s.id] for s in shown},
        infill_system=render("infill_system"),
        infill_task=infill_task,
    )


def neighbours(codemap: Codemap, shown: Sequence[Symbol]) -> list[Symbol]:
    """What these symbols call, then what calls them."""
    called = [symbol for each in shown for symbol in codemap.callees(each)]
    calling = [symbol for each in shown for symbol in codemap.callers(each)]
    return list({symbol.id: symbol for symbol in (*called, *calling)}.values())


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
