"""What the completions of an infilling group are worth: their edits fail, or are judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from policies.experience.events import (
    Acted,
    AttemptEnded,
    Event,
    Judged,
    Patched,
    Sampled,
    Screened,
    Tested,
)
from policies.experience.redact import redact
from policies.learning.rewards import NO_CHANGE, components_of

TIMED_OUT = "timed out"
"""Why a trajectory of an attempt that ran out of time is unscored."""
NOT_TRIED, NOT_JUDGED = "not tried", "not judged"
_OUT_OF_TIME = ("the budget of ", "the time limit of ", "the prompt has ")
_Components = Mapping[str, float | None]


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, and whether it was `judged`. `verdicts` are those of the run so far, by
    the diffs that were judged."""

    reason: str
    judged: bool = False
    verdicts: Mapping[str, Judged] = field(default_factory=dict)

    @property
    def timed_out(self) -> bool:
        """Whether time, tokens or the context ran out."""
        return self.reason.startswith(_OUT_OF_TIME)


@dataclass(frozen=True)
class Fate:
    """What came of a completion: the components of its reward, or `why` there are none."""

    components: _Components | None
    why: str = ""
    verified: bool = False


def fates(events: Sequence[Event], ending: Ending) -> Iterator[tuple[Sampled, Fate]]:
    """Each sibling of an attempt, with what came of the edit that it wrote, or chose.

    Edits without a verdict were not tried any more, unless a test failed with them, or did not end:
    in bulk, or alone. Answers that make the same program have the same fate. A choice was tried at
    once; others may have been after it that look the same.
    """
    made = [(place, e) for place, e in enumerate(events) if isinstance(e, Acted)]
    end = next((n for n, e in enumerate(events) if isinstance(e, AttemptEnded)), len(events))
    final = max((place for place, _ in made if place < end), default=-1)
    failed = {answer for e in events if isinstance(e, Screened) for answer in e.failed}
    in_bulk = any(isinstance(e, Screened) for e in events)
    for place, sample in enumerate(events):
        if not isinstance(sample, Sampled) or not sample.group:
            continue
        choice = is_choice(sample)
        text = redact(sample.text)[0]
        mine = [
            at
            for at, e in made
            if (_chosen(e) == text if choice else e.round == sample.round and _wrote(e, text))
            and at > place
        ]
        tried = mine[0 if choice else -1] if mine else -1
        verdict = _verdict(events, tried, ending) if mine else None
        if sample.finish_reason == "length":
            fate = Fate(NO_CHANGE)
        elif verdict is not None:
            fate = Fate(components_of(verdict), verified=verdict.verified)
        elif mine and tried == final and ending.reason == "solved":
            fate = Fate(None, NOT_JUDGED)
        elif mine and not _tested(events, tried):
            fate = Fate(None, TIMED_OUT if ending.timed_out else NOT_JUDGED)
        elif mine or (sample.round, text) in failed:
            fate = Fate(NO_CHANGE)
        elif ending.timed_out:
            fate = Fate(None, TIMED_OUT)
        elif choice or in_bulk or ending.judged or not ending.reason:
            fate = Fate(None, NOT_TRIED)
        else:
            fate = Fate(NO_CHANGE)
        yield sample, fate


def is_choice(sample: Sampled) -> bool:
    """Whether it names one of several edits that were written before."""
    return sample.phase == "choose"


def _wrote(edit: Acted, text: str) -> bool:
    return text in (edit.answer, *edit.alike)


def _chosen(edit: Acted) -> str:
    """What a policy writes to choose an edit."""
    return f"```diff\n{edit.arguments.get('change')}\n```"


def _tested(events: Sequence[Event], place: int) -> bool:
    """Whether the edit that was made at this place was tested to the end."""
    came_of_it = _until_next(events, place)
    runs = [e for e in came_of_it if isinstance(e, Tested) and e.label == "candidate"]
    return bool(runs) and all(run.complete for run in runs)


def _verdict(events: Sequence[Event], place: int, ending: Ending) -> Judged | None:
    """What was judged of the patch that stood after the edit that was made at this place."""
    diffs = [e.diff for e in _until_next(events, place) if isinstance(e, Patched)]
    return ending.verdicts.get(diffs[-1]) if diffs else None


def _until_next(events: Sequence[Event], place: int) -> Iterator[Event]:
    return takewhile(lambda e: not isinstance(e, Acted), events[place + 1 :])
