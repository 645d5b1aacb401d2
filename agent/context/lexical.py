"""Which symbols an issue speaks of: by its words, and by what the named ones call.

BM25 (Robertson and Zaragoza, "The probabilistic relevance framework", 2009) over the words of
identifiers: `parseHTTPHeader` and `parse_http_header` are `parse`, `http` and `header` as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tools.codemap import Codemap, Symbol

NAME_REPEATS = 3
REACH_WEIGHT, REACH_FACTOR, REACH_STEPS = 0.5, 0.8, 3
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def words(text: str) -> list[str]:
    """The identifiers of a text in lower case, and the parts of those that have several."""
    found = []
    for name in _NAME.findall(text):
        found.append(name.lower())
        parts = [part.lower() for part in _PART.findall(name)]
        if len(parts) > 1:
            found += parts
    return found


def by_words(
    codemap: Codemap, files: Mapping[str, bytes], symbols: Sequence[Symbol], issue: str
) -> dict[str, float]:
    """How well each symbol suits an issue, by id: from 0 to 1.5."""
    import bm25s

    if not symbols:
        return {}
    documents = [
        words(symbol.text(files[symbol.path])) + NAME_REPEATS * words(symbol.qualname)
        for symbol in symbols
    ]
    index = bm25s.BM25()
    index.index(documents, show_progress=False)
    asked = [word for word in words(issue) if word in index.vocab_dict]
    scores = index.get_scores(asked) if asked else [0.0] * len(symbols)
    best = float(max(scores)) or 1.0
    found = {s.id: float(score) / best for s, score in zip(symbols, scores, strict=True)}
    named = set(_NAME.findall(issue))
    reached = _reached(codemap, [symbol for symbol in symbols if symbol.name in named])
    for name, share in reached.items():
        if name in found:
            found[name] += REACH_WEIGHT * share
    return found


def _reached(codemap: Codemap, named: Sequence[Symbol]) -> dict[str, float]:
    """The named symbols and what they call, over a few steps, each step counting less."""
    shares = {symbol.id: 1.0 for symbol in named}
    edge = list(named)
    for step in range(1, REACH_STEPS + 1):
        called = {callee.id: callee for symbol in edge for callee in codemap.callees(symbol)}
        edge = [symbol for name, symbol in called.items() if name not in shares]
        shares.update({symbol.id: REACH_FACTOR**step for symbol in edge})
    return shares
