"""Apprentice: an autonomous coding agent that verifies its fixes and learns from its work.

`from agent import solve, verify` is the Python interface; see docs/scripts.md.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.api import solve, verify
    from agent.result import Result
    from agent.status import AgentError, EnvironmentFailure, UsageError

__version__ = "0.1.0"
__all__ = [
    "AgentError",
    "EnvironmentFailure",
    "Result",
    "UsageError",
    "__version__",
    "solve",
    "verify",
]

_PLACES = {
    "AgentError": "agent.status",
    "EnvironmentFailure": "agent.status",
    "Result": "agent.result",
    "UsageError": "agent.status",
    "solve": "agent.api",
    "verify": "agent.api",
}


class _Package(ModuleType):
    """Modules inside have names of the interface, too: importing one does not hide the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    """The interface, loaded when it is first used: importing `agent` alone stays cheap."""
    if name not in _PLACES:
        raise AttributeError(f"module 'agent' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)


sys.modules[__name__].__class__ = _Package
