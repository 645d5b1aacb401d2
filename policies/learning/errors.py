"""What can go wrong in learning."""

from __future__ import annotations

from policies.base import PolicyError


class LearningError(PolicyError):
    """Data, weights or a checkpoint that cannot be trained on. The message says what to do next."""
