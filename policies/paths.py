"""Where models, adapters, experience and locks live on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def data_root() -> Path:
    """The user's data folder; `APPRENTICE_HOME` overrides it. Absolute, not created here."""
    if override := os.environ.get("APPRENTICE_HOME"):
        return Path(override).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("apprentice"))


def models_root() -> Path:
    """The folder of the weights; `APPRENTICE_MODELS` moves it out of the data folder."""
    override = os.environ.get("APPRENTICE_MODELS")
    return Path(override).expanduser().absolute() if override else data_root() / "models"
