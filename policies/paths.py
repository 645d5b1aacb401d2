"""Where models, adapters, experience and locks live on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def data_root() -> Path:
    """The user's data folder; `APPRENTICE_HOME` overrides it. Not created here."""
    if override := os.environ.get("APPRENTICE_HOME"):
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_data_dir("apprentice"))
