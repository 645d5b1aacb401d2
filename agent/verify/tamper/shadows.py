"""Files that would be imported in the place of the standard library or of the test framework."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath

from agent.paths import below_import_root
from agent.verify.tamper.signs import JUDGES

_SUFFIXES = (".py", ".pyc", ".so", ".pyd")


def shadow(path: str) -> str:
    """A finding when `path` hides such a module, '' otherwise.

    A folder without an `__init__` file hides no module that can be found elsewhere.
    """
    parts = PurePosixPath(below_import_root(path)).parts
    name, dot, _ = parts[-1].partition(".")
    if not dot or not parts[-1].endswith(_SUFFIXES) or len(parts) > 2:
        return ""
    if len(parts) == 2:
        if name != "__init__":
            return ""
        name = parts[0]
    if name in sys.stdlib_module_names or name in JUDGES:
        return f"shadows the module {name!r} by {path}"
    return ""
