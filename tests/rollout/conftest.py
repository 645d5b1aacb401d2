"""Environments are made once for all tests of this folder."""

from tests.tasks.conftest import environments, shared_environments

__all__ = ["environments", "shared_environments"]
