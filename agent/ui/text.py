"""Text from outside, made safe to show: no escapes, control, direction or unseen characters.

Joiners (U+200C, U+200D) are shown as escapes too, though some scripts and emoji need them: with
them two names can look alike, and a file's name must be seen as it is.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    """The text with every unsafe character shown as an escape; newlines and tabs are kept."""
    return _UNSAFE.sub(_visible, text.replace("\r\n", "\n"))


def without_unseen(text: str) -> str:
    """The text with every unsafe character left out; newlines and tabs are kept."""
    return _UNSAFE.sub("", text.replace("\r\n", "\n"))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
