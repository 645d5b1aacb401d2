"""Steer the terminal, or hide text in it, from every text of a trajectory that is shown."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from inspect import isclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from agent.ui.lines import line
from agent.ui.text import printable
from agent.ui.trajectory import _RENDERERS, render

HOSTILE = (
    "\x1b[2J\x1b]0;title\x07\x1b]8;;http://x\x1b\\\\\x1b]52;c;eA==\x07\x9b31m\x90\x9d\r\b\x7f\x00\x0e\x84"
    "\u202e\u2066\u200b\u2028\ufeff\u00ad\u3164\ufff9\ufe00\udcff\U000e0041\U000e0100\u180e\u206a"
    "\u2800\u200c\u200d\U0001bca0\U0001bca3\U00013430\U0001343f\U0001d173\U0001d17a"
)
OURS = {"sandbox", "killed_by", "status"}


def filled(kind: Any) -> Any:
    """A value of a type, with the hostile text wherever a text may be."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return filled(inner[0])
    if origin is Literal:
        return inner[0]
    if origin in (Union, UnionType):
        return filled(str if str in inner else inner[0])
    if origin is tuple:
        return tuple(filled(k) for k in inner if k is not Ellipsis)
    if isclass(origin) and issubclass(origin, Mapping):
        return {filled(inner[0]): filled(inner[1])}
    if isclass(kind) and issubclass(kind, BaseModel):
        found = {name: filled(field.annotation) for name, field in kind.model_fields.items()}
        return found | dict.fromkeys(OURS & set(found), "ours")
    return {str: HOSTILE, bool: True, datetime: datetime.now(UTC), Any: HOSTILE}.get(kind, 1)


def unsafe(text: str) -> list[str]:
    """Characters of it that may not reach a terminal."""
    return [c for c in text if c in UNSEEN]


UNSEEN = set(HOSTILE) - set(string.printable[:95])


def on_host(make: Callable[..., Path], folder: Path) -> None:
    shown = 0
    for kind in _RENDERERS:
        try:
            event = kind.model_validate(filled(kind))
        except ValidationError as error:
            raise AssertionError(f"{kind.__name__}: {error}") from error
        for full in (False, True):
            for text in render([event], full=full):
                assert not unsafe(text.plain), (kind, text.plain)
                shown += 1
        assert not unsafe(line(event)), kind
    assert shown >= 2 * len(_RENDERERS)
    assert not unsafe(printable(HOSTILE))
    assert printable("kept: \u00e9 \u4e2d \U0001f600\n\t") == "kept: \u00e9 \u4e2d \U0001f600\n\t"
