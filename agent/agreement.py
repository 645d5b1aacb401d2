"""Which of several edits that pass the tests to prefer: those with which most agrees.

Edits that do the same with other inputs are one answer, written differently. Where the policy wrote
several tests from the issue, the edits that pass the same of them form a set, and the set that
passes most comes first (after CodeT: Chen et al., ICLR 2023, arXiv:2207.10397, where a set counts
by its size as well; its programs are sampled, these edits are listed: their number says little).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from tools.repairs.edit import Edit
from tools.sandbox.base import File
from tools.testing.screen import Screening


@dataclass(frozen=True)
class Candidate:
    """An edit that passes the tests that it has to pass.

    `behaviour` is what the code does with other inputs, None where too little is known of it;
    `votes` are the test files that decide nothing and pass.
    """

    edit: Edit
    behaviour: tuple[str, ...] | None = None
    votes: frozenset[str] = frozenset()

    @property
    def answer(self) -> Hashable:
        """What tells it from others: its behaviour, else the edit itself."""
        return self.behaviour or self.edit


def candidates(
    edits: Sequence[Edit], found: Screening, voters: Mapping[File, Sequence[str]]
) -> list[Candidate]:
    """The edits that came out of a screening clean. `voters` are test files with their tests."""
    return [
        Candidate(
            edits[n],
            found.behaviours.get(n),
            frozenset(f.path for f, tests in voters.items() if found.trials[n].passed >= {*tests}),
        )
        for n in found.clean
    ]


def agreed(options: Sequence[Candidate]) -> list[list[Candidate]]:
    """Sets that pass the same of the test files that vote, most votes first."""
    sets: dict[Hashable, list[Candidate]] = {}
    for option in options:
        sets.setdefault(option.votes, []).append(option)
    return sorted(sets.values(), key=lambda alike: -len(alike[0].votes))


def distinct(options: Sequence[Candidate]) -> list[Candidate]:
    """The smallest edit of each behaviour."""
    groups: dict[Hashable, list[Candidate]] = {}
    for option in options:
        groups.setdefault(option.answer, []).append(option)
    return [min(group, key=_size) for group in groups.values()]


def _size(option: Candidate) -> int:
    return option.edit.end - option.edit.start + len(option.edit.text)
