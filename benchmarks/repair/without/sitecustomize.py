"""Switches off the part of solving that WITHOUT_PART names, in a process and its workers.

`ablations.py` puts this folder on PYTHONPATH, so that the product needs no switches for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import Any


def localisation() -> None:
    """Every symbol is as suspicious as any other, in any order, and every line."""
    from agent.context.evidence import Evidence
    from agent.context.localise import changeable

    def unranked(
        codemap: Any, files: Any, run: Any, targets: Any, issue: Any, protected: Any
    ) -> list[tuple[str, float]]:
        found = list(changeable(codemap, files, protected))
        Random(0).shuffle(found)
        return [(name, 1.0) for name in found]

    solving = import_module("agent.solve")
    _replace(solving, "localise", unranked)
    _replace(solving, "by_lines", lambda _, ranked, __: ranked)
    _replace(Evidence, "line_scores", lambda *_: {})


def grammar() -> None:
    """Completions are free text."""
    from policies.llamacpp import LlamaCppPolicy

    held = LlamaCppPolicy.sample

    def free(self: Any, messages: Any, n: Any, sampling: Any, _: Any = None, *rest: Any) -> Any:
        return held(self, messages, n, sampling, None, *rest)

    _replace(LlamaCppPolicy, "sample", free)


def samples() -> None:
    """One completion for a place to be filled in."""
    _replace(import_module("agent.infill"), "SAMPLES_PER_HOLE", 1)


def choice() -> None:
    """Of several edits that pass, the first in the order of search."""
    _replace(import_module("agent.trying"), "choose", lambda *_: 0)


def comparison() -> None:
    """Of edits that pass, all are offered, whether they do the same or not."""
    _replace(import_module("agent.trying"), "distinct", list)


def agreement() -> None:
    """One test is written from the issue."""
    _replace(import_module("agent.solve"), "WRITTEN_TESTS", 1)


def _replace(place: Any, name: str, value: Any) -> None:
    """Put another value in the place of one that is there."""
    getattr(place, name)
    setattr(place, name, value)


PARTS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (localisation, grammar, samples, choice, comparison, agreement)
}
if part := os.environ.get("WITHOUT_PART"):
    try:
        PARTS[part]()
    except Exception as error:
        print(f"{part} cannot be switched off: {error!r}", file=sys.stderr, flush=True)
        os._exit(3)
