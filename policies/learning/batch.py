"""Events of the store → scored trajectories in groups: what trainers read.

An attempt is a trajectory: its turns (plan, edits, critiques and revisions) share the reward of the
patch that it ended with. A sibling of an infilling group is a trajectory of its own: it has the
reward of the candidate that it produced, and 0 if it produced none. What was not judged is
unscored: it has no reward, which is not a reward of 0.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from policies.experience.events import (
    Acted,
    AttemptEnded,
    Event,
    Judged,
    Observed,
    Patched,
    Sampled,
    Screened,
)
from policies.experience.store import Store
from policies.learning.errors import LearningError
from policies.learning.rewards import NO_CHANGE, RewardConfig, components_of, scalar
from policies.learning.tokens import Tokens, Untrainable, digest, sequences

_OUT_OF_TIME = ("the budget of ", "the time limit of ", "the prompt has ")
_FENCE = "```"
TIMED_OUT = "timed out"
"""Why a trajectory of an attempt that ran out of time is unscored."""


@dataclass(frozen=True)
class Trajectory:
    """What the policy wrote in one attempt, or as one sibling, and what it was worth.

    `prompt` is the digest of the ids before its first completion: those with the same one are
    samples of the same prompt. `reward` None is unscored, for the reason in `why`.
    """

    id: str
    prompt: str
    sequences: tuple[Tokens, ...]
    reward: float | None
    components: Mapping[str, float | None] = field(default_factory=dict)
    why: str = ""
    policy_version: str = ""
    verified: bool = False

    @property
    def trained(self) -> int:
        """Tokens that the policy wrote."""
        return sum(tokens.trained for tokens in self.sequences)


@dataclass(frozen=True)
class Group:
    """Scored samples of one prompt."""

    prompt: str
    trajectories: tuple[Trajectory, ...]

    @property
    def rewards(self) -> tuple[float, ...]:
        """Their rewards, in order."""
        return tuple(t.reward for t in self.trajectories if t.reward is not None)


@dataclass(frozen=True)
class Groups:
    """Groups to train on, and how many trajectories were left out, by reason."""

    groups: tuple[Group, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of all ids, masks, log-probabilities and rewards: the identity of the data."""
        parts = [
            [t.id, t.reward, [[s.ids, s.mask, s.logprobs] for s in t.sequences]]
            for group in self.groups
            for t in group.trajectories
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read(store: Store, ids: Iterable[str], config: RewardConfig) -> list[Trajectory]:
    """The trajectories of stored runs. Raises LearningError where tokens do not fit together."""
    return [found for name in ids for found in trajectories(name, store.events(name), config)]


def trajectories(name: str, events: Iterable[Event], config: RewardConfig) -> list[Trajectory]:
    """The trajectories of one run, attempts in order and each attempt before its siblings.

    Completions of hosted models have no tokens: they are unscored and have no sequences. So is
    what was written before the first attempt. A policy that passes a test of its own writing has
    shown nothing: all of such a run is unscored.
    """
    by_attempt: dict[int, list[Event]] = defaultdict(list)
    own_test = False
    for event in events:
        own_test |= isinstance(event, Observed) and event.tool == "reproduction" and event.ok
        if event.attempt is not None and event.attempt >= 0:
            by_attempt[event.attempt].append(event)
    found: list[Trajectory] = []
    verdicts: dict[str, Judged] = {}
    for attempt, own in sorted(by_attempt.items()):
        found += _attempt(f"{name}/{attempt}", own, verdicts, config)
    if own_test:
        why = "the policy wrote the test itself"
        found = [replace(one, reward=None, verified=False, why=why) for one in found]
    return found


def grouped(
    found: Iterable[Trajectory], *, contrast: bool = True, longest: int | None = None
) -> Groups:
    """Scored trajectories by prompt, in a stable order; none with a sequence above `longest` ids.

    With `contrast`, groups that teach nothing to a relative baseline are dropped: a single sample,
    or equal rewards (DAPO, arXiv:2503.14476, section 3.2). What is left out is counted.
    """
    left_out: Counter[str] = Counter()
    by_prompt: dict[str, list[Trajectory]] = defaultdict(list)
    for one in found:
        if not one.sequences:
            left_out[one.why or "no tokens"] += 1
        elif one.reward is None:
            left_out[one.why or "unscored"] += 1
        elif longest is not None and max(len(t.ids) for t in one.sequences) > longest:
            left_out[f"longer than {longest} tokens"] += 1
        else:
            by_prompt[one.prompt].append(one)
    groups = []
    for prompt, members in by_prompt.items():
        group = Group(prompt, tuple(members))
        if contrast and len(members) == 1:
            left_out["single samples"] += 1
        elif contrast and max(group.rewards) == min(group.rewards):
            left_out["equal rewards"] += len(members)
        else:
            groups.append(group)
    return Groups(tuple(groups), dict(left_out))


def leave_one_out(rewards: Sequence[float]) -> list[float]:
    """Advantages: each reward less the mean of the others' (RLOO, arXiv:2402.14740, eq. 5)."""
    if len(rewards) < 2:
        raise LearningError("a leave-one-out baseline needs at least two samples of a prompt.")
    total, others = sum(rewards), len(rewards) - 1
    return [reward - (total - reward) / others for reward in rewards]


def _attempt(
    where: str, events: Sequence[Event], verdicts: dict[str, Judged], config: RewardConfig
) -> list[Trajectory]:
    """The trajectories of one attempt; `verdicts` maps the diffs of the run to their verdicts.

    A patch that an earlier attempt was judged for is not judged again: it has the same verdict.
    """
    diff, ended = "", ""
    judged: Judged | None = None
    judged_after = -1
    for place, event in enumerate(events):
        if isinstance(event, Patched):
            diff = event.diff
        elif isinstance(event, Judged):
            judged, judged_after = event, place
            verdicts[diff] = event
        elif isinstance(event, AttemptEnded):
            ended = event.reason
    if judged is None and ended == "solved":
        judged = verdicts.get(diff)
    samples = [event for event in events if isinstance(event, Sampled)]
    chosen = [sample for sample in samples if not sample.group]
    siblings = [sample for sample in samples if sample.group]
    timed_out = ended.startswith(_OUT_OF_TIME)
    found = []
    if chosen:
        if judged is not None:
            found.append(_made(where, chosen, components_of(judged), config, judged.verified))
        elif ended and ended != "solved" and not timed_out:
            found.append(_made(where, chosen, NO_CHANGE, config))
        else:
            why = TIMED_OUT if timed_out else "not judged"
            found.append(_made(where, chosen, None, config, why=why))
    if siblings:
        found += _siblings(where, events, siblings, judged, judged_after, timed_out, config)
    return found


def _siblings(
    where: str,
    events: Sequence[Event],
    siblings: Sequence[Sampled],
    judged: Judged | None,
    judged_after: int,
    timed_out: bool,
    config: RewardConfig,
) -> list[Trajectory]:
    """Each sibling with the reward of its candidate.

    A candidate is an action after the sibling that holds what it wrote. The judged one is the last
    before the verdict; what comes after it in its group was not tried any more, unless a test
    failed with it when all were tried in bulk.
    """
    actions = [(place, e) for place, e in enumerate(events) if isinstance(e, Acted)]
    before = [e for place, e in actions if judged_after < 0 or place < judged_after]
    winner = before[-1] if judged is not None and before else None
    paid = _makers(winner, siblings, [e for _, e in actions]) if winner else set()
    screened = (e for e in events if isinstance(e, Screened))
    failed = {(made_in, _bare(text)) for e in screened for made_in, text in e.failed}
    found = []
    won = ""
    for number, sample in enumerate(siblings):
        name = f"{where}.{sample.round}#{number}"
        written = _content(sample.text)
        same = winner is not None and sample.round == winner.round and written in paid
        tried = (sample.round, _bare(written)) in failed or any(
            e.round == sample.round and _holds(e, written) for _, e in actions
        )
        if judged is not None and same and sample.finish_reason != "length":
            if len(paid) > 1:
                found.append(_made(name, [sample], None, config, why="its candidate is unclear"))
                continue
            won = sample.group
            found.append(_made(name, [sample], components_of(judged), config, judged.verified))
        elif tried or sample.finish_reason == "length" or not (timed_out or won == sample.group):
            found.append(_made(name, [sample], NO_CHANGE, config))
        else:
            why = TIMED_OUT if timed_out else "not tried"
            found.append(_made(name, [sample], None, config, why=why))
    return found


def _makers(winner: Acted, siblings: Sequence[Sampled], actions: Sequence[Acted]) -> set[str]:
    """What the siblings wrote that can have made the winning action: one text, if all is well.

    A text that stands in every action of the round stood in the code before.
    """
    here = [e for e in actions if e.round == winner.round]
    texts = {_content(s.text) for s in siblings if s.round == winner.round}
    makers = {text for text in texts if _holds(winner, text)}
    if len(makers) > 1 and len(here) > 1:
        makers = {text for text in makers if not all(_holds(e, text) for e in here)} or makers
    return makers


def _made(
    name: str,
    samples: Sequence[Sampled],
    components: Mapping[str, float | None] | None,
    config: RewardConfig,
    verified: bool = False,
    why: str = "",
) -> Trajectory:
    versions = sorted({sample.policy_version for sample in samples})
    first = samples[0].prompt_delta_ids or ()
    try:
        own = sequences(samples, name)
    except Untrainable:
        own, why = (), "no token ids (a hosted model)"
    reward = None if components is None or why else scalar(components, config)
    if reward is None and not why:
        why = "unscored"
    return Trajectory(
        id=name,
        prompt=digest(first),
        sequences=own,
        reward=reward,
        components=dict(components or {}),
        why=why,
        policy_version=", ".join(versions),
        verified=verified,
    )


def _content(text: str) -> str:
    """What stands in a reply's code block; the whole reply, where it has none."""
    lines = text.strip().splitlines()
    if len(lines) > 2 and lines[0].startswith(_FENCE) and lines[-1].startswith(_FENCE):
        lines = lines[1:-1]
    return "\n".join(line.rstrip() for line in lines).strip()


def _bare(text: str) -> tuple[str, ...]:
    """The lines of a text without their margins."""
    return tuple(line.strip() for line in text.strip().splitlines())


def _holds(action: Acted, written: str) -> bool:
    """Whether whole lines of an action's arguments are what a sibling wrote."""
    wanted = _bare(written)
    if not any(wanted):
        return False
    for value in action.arguments.values():
        lines = _bare(str(value))
        span = len(wanted)
        if any(lines[at : at + span] == wanted for at in range(len(lines) - span + 1)):
            return True
    return False
