"""Text from outside, made safe to show: no escapes, no control or invisible characters."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """The text with every unsafe character shown as an escape, tabs and newlines kept."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode(), text)
