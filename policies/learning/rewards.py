"""Rewards: named components that the verifier pays, and one configured number made of them.

A component that nobody scored is None, and so is the scalar that needs it: None is never counted
as 0. A tampering patch gets 0 whatever else it achieved; a patch that changes nothing gets 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, field_validator

from policies.base import Frozen
from policies.experience.events import Judged

COMPONENTS = ("resolved", "fixed", "regressions", "tamper", "changed_lines")
NO_CHANGE: Mapping[str, float | None] = {
    "resolved": 0.0,
    "fixed": 0.0,
    "regressions": 0.0,
    "tamper": 0.0,
    "changed_lines": 0.0,
}
"""Components of an attempt that ended with no candidate: it changed nothing."""


class RewardConfig(Frozen):
    """The scalar is the sum of weight times component, held between `low` and `high`.

    The default pays for solved tasks alone. `{"resolved": 0.7, "fixed": 0.3, "regressions": -0.5}`
    also pays for a part of the failing tests.
    """

    weights: dict[str, float] = Field(default_factory=lambda: {"resolved": 1.0})
    low: float = 0.0
    high: float = 1.0

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str, float]) -> dict[str, float]:
        if unknown := set(weights) - set(COMPONENTS):
            raise ValueError(f"there is no component {min(unknown)!r}; {', '.join(COMPONENTS)}")
        if not weights:
            raise ValueError("at least one component needs a weight")
        return weights


def scalar(components: Mapping[str, float | None], config: RewardConfig) -> float | None:
    """The reward of a scored attempt, or None where a component that it needs was not scored.

    Whatever the weights, tampering gives 0. So does an attempt that changed nothing, which has
    `changed_lines` 0: to leave the tests as they are is not worth anything.
    """
    if components.get("tamper"):
        return 0.0
    if components.get("changed_lines") == 0:
        return 0.0
    total = 0.0
    for name, weight in config.weights.items():
        value = components.get(name)
        if value is None:
            return None
        total += weight * value
    return min(config.high, max(config.low, total))


def components_of(judged: Judged) -> dict[str, float | None]:
    """The components of a verdict; its findings count as tampering."""
    found = dict(judged.rewards)
    if judged.findings:
        found["tamper"] = 1.0
    return found
