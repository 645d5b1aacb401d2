"""Which symbols are to blame: spectrum of the failing tests, traceback frames, names in the issue.

The spectrum is over the functions that each test calls.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from agent.context.evidence import ochiai
from agent.verify.protected import is_protected
from tools.codemap import MODULE, Codemap
from tools.testing.results import TestRun

FRAME_WEIGHT = 0.5
NAME_WEIGHT = 0.4
USE_WEIGHT = 0.1
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")


def localise(
    codemap: Codemap,
    run: TestRun,
    targets: Collection[str],
    issue: str,
    protected: Sequence[str] = (),
) -> list[tuple[str, float]]:
    """Rank symbols as (`path::qualname`, score), most suspicious first.

    `run` may carry calls (a traced run); without them frames and names alone decide.
    """
    eligible = {
        symbol.id: symbol
        for symbol in codemap
        if symbol.kind != "class"
        and symbol.qualname != MODULE
        and not is_protected(symbol.path, protected)
    }
    scores: defaultdict[str, float] = defaultdict(float)
    for name, score in _ochiai(codemap, run, targets).items():
        scores[name] += score
    for test in targets:
        failure = run.failures.get(test)
        for depth, frame in enumerate(reversed(failure.frames if failure else ())):
            symbol = codemap.at(frame.path, frame.line)
            if symbol is not None:
                scores[symbol.id] += FRAME_WEIGHT / ((depth + 1) * len(targets))
    words = set(_WORD.findall(issue + " " + " ".join(targets)))
    for name, symbol in eligible.items():
        if symbol.name in words:
            scores[name] += NAME_WEIGHT
    ranked = [(name, round(score, 4)) for name, score in scores.items() if name in eligible]
    if not ranked:
        ranked = [
            (name, round(USE_WEIGHT * math.log1p(codemap.references(symbol.name)), 4))
            for name, symbol in eligible.items()
        ]
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
