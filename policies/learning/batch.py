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
    AttemptEnded,
    Event,
    Judged,
    Observed,
    Patched,
    Sampled,
)
from policies.experience.store import Store
from policies.learning.errors import LearningError
from policies.learning.rewards import NO_CHANGE, RewardConfig, components_of, scalar
from policies.learning.siblings import NOT_JUDGED, TIMED_OUT, Ending, fates, is_choice
from policies.learning.tokens import Tokens, Untrainable, digest, sequences


@dataclass(frozen=True)
class Trajectory:
    """What the policy wrote in one attempt, or as one sibling, and what it was worth.

    `prompt` is the digest of the ids before its first completion: those with the same one are
    samples of the same prompt. `reward` None is unscored, for the reason in `why`. A `choice` names
    one of several edits that were written before.
    """

    id: str
    prompt: str
    sequences: tuple[Tokens, ...]
    reward: float | None
    components: Mapping[str, float | None] = field(default_factory=dict)
    why: str = ""
    policy_version: str = ""
    verified: bool = False
    choice: bool = False

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
    found: Iterable[Trajectory],
    *,
    contrast: bool = True,
    choices: bool = True,
    longest: int | None = None,
) -> Groups:
    """Scored trajectories by prompt, in a stable order; none with a sequence above `longest` ids.

    With `contrast`, groups that teach nothing to a relative baseline are dropped: a single sample,
    or equal rewards (DAPO, arXiv:2503.14476, section 3.2). Without `choices`, completions that
    chose among edits are left out: they were greedy, no samples of the policy. What is left out is
    counted.
    """
    left_out: Counter[str] = Counter()
    by_prompt: dict[str, list[Trajectory]] = defaultdict(list)
    for one in found:
        if not one.sequences:
            left_out[one.why or "no tokens"] += 1
        elif one.reward is None:
            left_out[one.why or "unscored"] += 1
        elif one.choice and not choices:
            left_out["greedy choices"] += 1
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
    for event in events:
        if isinstance(event, Patched):
            diff = event.diff
        elif isinstance(event, Judged):
            judged = judged or event
            verdicts[diff] = event
        elif isinstance(event, AttemptEnded):
            ended = event.reason
    if judged is None and ended == "solved":
        judged = verdicts.get(diff)
    chosen = [event for event in events if isinstance(event, Sampled) and not event.group]
    ending = Ending(ended, judged is not None, verdicts)
    found = []
    if chosen:
        if judged is not None:
            found.append(_made(where, chosen, components_of(judged), config, judged.verified))
        elif ended and ended != "solved" and not ending.timed_out:
            found.append(_made(where, chosen, NO_CHANGE, config))
        else:
            why = TIMED_OUT if ending.timed_out else NOT_JUDGED
            found.append(_made(where, chosen, None, config, why=why))
    for number, (sample, fate) in enumerate(fates(events, ending)):
        name = f"{where}.{sample.round}#{number}"
        found.append(_made(name, [sample], fate.components, config, fate.verified, fate.why))
    return found


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
        choice=is_choice(samples[0]),
    )
