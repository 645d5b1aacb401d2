"""What each trainer on TRL is given."""

from dataclasses import replace

from policies.learning.batch import Group, Groups
from policies.learning.preference import PreferenceConfig, _collate_pairs, _unpaired, pairs_of
from policies.learning.sft import SftConfig, accepted
from tests.learning.tiny import random_groups, tiny_model


def trajectories(**more):
    return [t for g in random_groups(tiny_model(), **more).groups for t in g.trajectories]


def test_sft_takes_verified_attempts_once_and_few_of_a_prompt():
    found = [replace(t, verified=t.reward == 1.0) for t in trajectories(groups=2, samples=8)]
    twice = [*found, *found]
    kept = accepted(twice, SftConfig(per_prompt=3))
    assert len(kept) == 2 * 3
    good = {t.sequences[0].ids for t in found if t.verified}
    assert {tokens.ids for tokens in kept} <= good
    assert len({tokens.ids for tokens in kept}) == 6
    assert accepted([replace(t, verified=False) for t in found], SftConfig()) == []


def test_pairs_are_of_one_prompt_and_ordered_by_reward():
    groups = random_groups(tiny_model(), groups=2, samples=4)
    pairs = pairs_of(groups, PreferenceConfig(pairs=3))
    assert len(pairs) == 6
    rewards = {t.sequences[0].ids: t.reward for g in groups.groups for t in g.trajectories}
    for pair in pairs:
        assert rewards[pair.chosen.ids] > rewards[pair.rejected.ids]
        assert pair.chosen.ids[:12] == pair.rejected.ids[:12]
    for start in (0, 3):
        assert len({pair.chosen.ids for pair in pairs[start : start + 2]}) == 2
        assert len({pair.rejected.ids for pair in pairs[start : start + 2]}) == 2
    same = Group("p", tuple(replace(t, reward=1.0) for t in groups.groups[0].trajectories))
    assert pairs_of(Groups((same,)), PreferenceConfig()) == []


def test_only_the_policys_tokens_count_in_pairs():
    (pair, *_) = pairs_of(random_groups(tiny_model(), groups=1), PreferenceConfig())
    row = {
        "chosen_ids": list(pair.chosen.ids),
        "chosen_mask": list(map(int, pair.chosen.mask)),
        "rejected_ids": list(pair.rejected.ids),
        "rejected_mask": list(map(int, pair.rejected.mask)),
    }
    batch = _collate_pairs([row])
    assert batch["completion_mask"].sum(1).tolist() == [pair.chosen.trained, pair.rejected.trained]
    assert batch["attention_mask"].sum(1).tolist() == [len(pair.chosen.ids), len(pair.rejected.ids)]


def test_kto_answers_another_prompt_for_its_estimate():
    groups = random_groups(tiny_model(), groups=2, samples=4)
    rows = _unpaired(groups, PreferenceConfig(batch=3))
    assert sorted(row["label"] for row in rows) == [False] * 4 + [True] * 4
    for row in rows:
        others = [other for other in rows if other["ids"][:12] != row["ids"][:12]]
        answers = [(other["ids"][12:], other["mask"][12:]) for other in others]
        assert row["kl_ids"][:12] == row["ids"][:12]
        assert (row["kl_ids"][12:], row["kl_mask"][12:]) in answers


def test_kto_takes_another_answer_where_there_is_one_prompt():
    rows = _unpaired(random_groups(tiny_model(), groups=1, samples=3), PreferenceConfig())
    assert all(row["kl_ids"] != row["ids"] for row in rows)
