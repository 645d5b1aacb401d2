"""What commands that run a policy on tasks have in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config import Settings
    from agent.tasks.instance import BadRow


def print_bad(source: Path | str, rows: Sequence[BadRow]) -> None:
    """Say which rows are no tasks, and why."""
    for row in rows:
        name = f" {row.instance_id}:" if row.instance_id else ""
        print(f"{source}:{row.line}:{name} {row.problem}", file=sys.stderr)


def fetch_models(settings: Settings, *, silent: bool) -> None:
    """Download all weights before the workers need them, with a bar."""
    from agent.ui.download import download_bar
    from policies.choose import fetch

    for model in filter(None, (settings.model, *settings.members.values())):
        with download_bar(silent=silent) as on_download:
            fetch(model, on_download)
