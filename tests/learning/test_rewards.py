"""What an attempt is worth."""

import pytest
from pydantic import ValidationError

from policies.learning.rewards import NO_CHANGE, RewardConfig, scalar

SOLVED = {
    "resolved": 1.0,
    "fixed": 1.0,
    "regressions": 0.0,
    "tamper": 0.0,
    "changed_lines": 2.0,
}


def test_the_default_pays_for_solved_tasks():
    assert scalar(SOLVED, RewardConfig()) == 1.0
    assert scalar({**SOLVED, "resolved": 0.0}, RewardConfig()) == 0.0


def test_weights_are_summed_and_held_in_bounds():
    config = RewardConfig(weights={"resolved": 0.7, "fixed": 0.3, "regressions": -2.0})
    half = {**SOLVED, "resolved": 0.0, "fixed": 0.5}
    assert scalar(half, config) == pytest.approx(0.15)
    assert scalar({**half, "regressions": 1.0}, config) == 0.0


def test_tampering_zeroes_everything():
    assert scalar({**SOLVED, "tamper": 1.0}, RewardConfig()) == 0.0
    assert scalar({"tamper": 1.0, "resolved": None}, RewardConfig()) == 0.0


def test_unscored_is_none_and_never_zero():
    assert scalar({**SOLVED, "resolved": None}, RewardConfig()) is None
    assert scalar({}, RewardConfig()) is None
    assert scalar({**SOLVED, "fixed": None}, RewardConfig(weights={"fixed": 1.0})) is None


def test_changing_nothing_is_worth_nothing():
    pays_for_peace = RewardConfig(weights={"resolved": 0.5, "regressions": -0.5}, low=-1.0)
    assert scalar(NO_CHANGE, pays_for_peace) == 0.0
    assert scalar({**SOLVED, "changed_lines": 0.0}, pays_for_peace) == 0.0


def test_an_unknown_component_is_refused():
    with pytest.raises(ValidationError, match="no component 'resolve'"):
        RewardConfig(weights={"resolve": 1.0})
