"""Held-out tests: a task's failing tests with other inputs, kept from whoever solves it.

A patch that knows the visible tests by heart passes them and fails these. What is expected of the
new inputs is recorded on the good version; a test stays if some bug breaks it.
"""

from __future__ import annotations

from agent.tasks.instance import Instance
from agent.tasks.tree import patched
from tools.sandbox.base import File


def held_out_files(instance: Instance) -> tuple[File, ...]:
    """The held-out test files of a row. Raises UsageError when they cannot be read."""
    return patched((), instance.held_out_patch)
