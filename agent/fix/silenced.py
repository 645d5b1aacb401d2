"""Comments that tell a check to look away: no repair may add one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

_MARK = re.compile(
    rb"(?:\bnoqa\b|type:\s*ignore|pyright:\s*ignore|mypy:\s*(?:ignore|disable|allow)"
    rb"|pylint:\s*(?:disable|skip-file)|pragma:\s*no\s|\bnosec\b|fmt:\s*(?:off|skip)"
    rb"|eslint-disable|biome-ignore|@ts-(?:ignore|nocheck|expect-error)|\bnolint\b|lint:ignore"
    rb"|#!?\[(?:allow|expect)\()"
    rb"[\w-]*[ \t]*[:=(\[]*[\w \t:/@.,-]*",  # The codes that it names.
    re.IGNORECASE,
)


def silences(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> bool:
    """Whether the files of `after` hold a silencing mark more than they did in `before`.

    A mark counts with the codes that it names: one that now silences more is a new one. One that
    is only moved, or whose line is changed beside it, is not.
    """
    old = _marks(before[path] for path in after if path in before)
    return bool(_marks(after.values()) - old)


def _marks(files: Iterable[bytes]) -> Counter[bytes]:
    found = (match[0] for data in files for match in _MARK.finditer(data))
    return Counter(b" ".join(mark.lower().split()) for mark in found)
