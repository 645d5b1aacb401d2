"""Which bugs are tried, and in which order: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from agent.tasks.mutate import FAMILIES, Mutation, combine, mutations
from tools.fingerprint import fingerprint
from tools.testing.results import TestRun

COMBINE_EVERY = 8


def covering_tests(run: TestRun, mutation: Mutation) -> tuple[str, ...]:
    """The tests that called the mutated function; all, where it lies in none."""
    if not mutation.def_line:
        return tuple(run.calls)
    place = (mutation.path, mutation.def_line)
    return tuple(
        test for test, calls in run.calls.items() if any((c[0], c[2]) == place for c in calls)
    )


def candidates(
    sources: Mapping[str, bytes], run: TestRun, seed: int, families: Sequence[str] = ()
) -> Iterator[Mutation]:
    """Bugs in code that tests call: family after family in turn, every eighth one of two.

    `run` is a run of the tests with calls recorded.
    """
    called = {call[0] for calls in run.calls.values() for call in calls}
    places = {(call[0], call[2]) for calls in run.calls.values() for call in calls}
    by_family: dict[str, list[Mutation]] = {name: [] for name in families or FAMILIES}
    for path in sorted(called & sources.keys()):
        for mutation in mutations(path, sources[path]):
            reached = not mutation.def_line or (path, mutation.def_line) in places
            if mutation.family in by_family and reached:
                by_family[mutation.family].append(mutation)
    order = random.Random(f"{seed}")  # noqa: S311
    for found in by_family.values():
        order.shuffle(found)
    single = [m for turn in zip_longest(*by_family.values()) for m in turn if m is not None]
    partners = list(single)
    order.shuffle(partners)
    pairs = _pairs(partners, sources)
    for number, mutation in enumerate(single, 1):
        yield mutation
        if number % (COMBINE_EVERY - 1) == 0 and (pair := next(pairs, None)):
            yield pair


def _pairs(mutations: Sequence[Mutation], sources: Mapping[str, bytes]) -> Iterator[Mutation]:
    """Two bugs in one function, each used once."""
    waiting: dict[tuple[str, str], Mutation] = {}
    for mutation in mutations:
        place = (mutation.path, mutation.symbol)
        other = waiting.pop(place, None)
        both = combine(other, mutation) if other else None
        if both is not None and fingerprint(both.apply(sources[both.path])) is not None:
            yield both
        else:
            waiting[place] = mutation
