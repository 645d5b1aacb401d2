"""All targets: importing the modules registers them."""

from __future__ import annotations

from tests.fuzz import edits, files, patches, replies, results, screens
from tests.fuzz.registry import TARGETS

__all__ = ["TARGETS", "edits", "files", "patches", "replies", "results", "screens"]
