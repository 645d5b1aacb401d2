"""Which symbols are to blame: spectrum of the failing tests, traceback frames, words of the issue.

The spectrum is over the functions that each test calls, and over lines where those are known.
Without a spectrum the words decide.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from agent.context.evidence import ochiai
from agent.context.lexical import by_words
from agent.verify.protected import is_protected
from policies.experience.events import Basis
from tools.codemap import Codemap, Symbol, inline_tests
from tools.testing.results import TestRun

FRAME_WEIGHT = 0.5
NAME_WEIGHT = 0.2
LINE_WEIGHT = 2.0
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")

Ranked = list[tuple[str, float]]


def localise(
    codemap: Codemap,
    files: Mapping[str, bytes],
    run: TestRun,
    targets: Collection[str],
    issue: str,
    protected: Sequence[str] = (),
) -> Ranked:
    """Rank symbols as (`path::qualname`, score), most suspicious first.

    `run` may carry calls (a traced run); without them frames and words alone decide.
    """
    eligible = changeable(codemap, files, protected)
    scores: defaultdict[str, float] = defaultdict(float)
    scores.update(_ochiai(codemap, run, targets))
    for test in targets:
        failure = run.failures.get(test)
        for depth, frame in enumerate(reversed(failure.frames if failure else ())):
            symbol = codemap.at(frame.path, frame.line)
            if symbol is not None:
                scores[symbol.id] += FRAME_WEIGHT / ((depth + 1) * len(targets))
    if any(test in run.calls for test in targets) and eligible.keys() & scores.keys():
        words = set(_WORD.findall(issue + " " + " ".join(targets)))
        for name, symbol in eligible.items():
            if symbol.name in words:
                scores[name] += NAME_WEIGHT
    else:
        for name, score in by_words(codemap, files, list(eligible.values()), issue).items():
            scores[name] += score
    return _sorted({name: score for name, score in scores.items() if name in eligible})


def changeable(
    codemap: Codemap, files: Mapping[str, bytes], protected: Sequence[str] = ()
) -> dict[str, Symbol]:
    """The definitions that a fix may change, by id: neither classes nor modules, and no tests."""
    tests = {test.id for path, data in files.items() for test in inline_tests(path, data)}
    return {
        symbol.id: symbol
        for symbol in codemap
        if symbol.is_code and symbol.id not in tests and not is_protected(symbol.path, protected)
    }


def basis(codemap: Codemap, run: TestRun, targets: Collection[str], ranked: Ranked) -> Basis:
    """What a ranking by `localise` rests on; the first is the surest (docs/figures.md)."""
    suspects = {name for name, _ in ranked}
    failures = [run.failures[test] for test in targets if test in run.failures]
    called = ((path, line) for test in targets for path, _, line in run.calls.get(test, ()))
    framed = ((frame.path, frame.line) for failure in failures for frame in failure.frames)

    def holds(places: Iterable[tuple[str, int]]) -> bool:
        symbols = (codemap.at(*place) for place in places)
        return any(symbol.id in suspects for symbol in symbols if symbol)

    return "tests" if holds(called) else "frames" if holds(framed) else "words"


def by_lines(codemap: Codemap, ranked: Ranked, scores: Mapping[tuple[str, int], float]) -> Ranked:
    """The ranking with what is known of lines, by path and number."""
    best: defaultdict[str, float] = defaultdict(float)
    for (path, line), score in scores.items():
        symbol = codemap.at(path, line)
        if symbol is not None:
            best[symbol.id] = max(best[symbol.id], score)
    return _sorted({name: score + LINE_WEIGHT * best[name] for name, score in ranked})


def _sorted(scores: Mapping[str, float]) -> Ranked:
    ranked = [(name, round(score, 4)) for name, score in scores.items()]
    return sorted(ranked, key=lambda item: (-item[1], item[0]))


def _ochiai(codemap: Codemap, run: TestRun, targets: Collection[str]) -> dict[str, float]:
    failing: Counter[str] = Counter()
    passing: Counter[str] = Counter()
    total = sum(test in run.calls for test in targets)
    for test, calls in run.calls.items():
        bucket = failing if test in targets else passing
        if test in targets or run.outcomes.get(test) == "passed":
            symbols = {codemap.at(path, line) for path, _, line in calls}
            bucket.update(symbol.id for symbol in symbols if symbol is not None)
    return {name: ochiai(count, passing[name], total) for name, count in failing.items()}
