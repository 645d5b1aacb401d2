"""Stands at the head of a test module in the sandbox and writes down what each check sees.

Standalone: standard library only. A line of JSON goes to `<module>.seen` for each test that ends.
"""

from __future__ import annotations

import ast as _heldout_ast
import json as _heldout_json
import math as _heldout_math
import os as _heldout_os
import sys as _heldout_sys
from typing import Any

_HELDOUT_PLACE = _heldout_os.path.abspath(__file__) + ".seen"
_HELDOUT_ROOT = _heldout_os.path.realpath(_heldout_os.getcwd()) + _heldout_os.sep
_HELDOUT_LONGEST = 1500
_HELDOUT_PLAIN = (bool, int, str, bytes, type(None))


def _heldout_text(value: Any) -> str | None:
    """A literal that stands for the value in any process, None where there is none."""
    kind = type(value)
    if kind in _HELDOUT_PLAIN or (kind is float and _heldout_math.isfinite(value)):
        return repr(value)
    if kind is dict:
        pairs = [(_heldout_text(key), _heldout_text(held)) for key, held in value.items()]
        if any(key is None or held is None for key, held in pairs):
            return None
        return "{" + ", ".join(f"{key}: {held}" for key, held in pairs) + "}"
    if kind not in (list, tuple, set):
        return None
    texts = [_heldout_text(part) for part in value]
    parts = [text for text in texts if text is not None]
    if len(parts) < len(texts):
        return None
    if kind is set:
        return "{" + ", ".join(sorted(parts)) + "}" if parts else "set()"
    if kind is list:
        return "[" + ", ".join(parts) + "]"
    return "(" + ", ".join(parts) + (",)" if len(parts) == 1 else ")")


def _heldout_exact(value: Any) -> str | None:
    try:
        text = _heldout_text(value)
        if text is None or len(text) > _HELDOUT_LONGEST:
            return None
        return text if _heldout_ast.literal_eval(text) == value else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _heldout_kind(error: BaseException) -> list[list[Any]]:
    """The classes of an exception, nearest first: module, name, whether it is the library's."""
    kinds = []
    for kind in type(error).__mro__:
        module = _heldout_sys.modules.get(kind.__module__)
        file = _heldout_os.path.realpath(getattr(module, "__file__", None) or "")
        ours = file.startswith(_HELDOUT_ROOT) and kind.__module__ != __name__
        there = getattr(module, kind.__qualname__, None) is kind
        kinds.append([kind.__module__, kind.__qualname__, ours and there])
    return kinds


class _HeldOutRaises:
    """Around `pytest.raises` or `assertRaises`: says what came of it, and goes on."""

    def __init__(self, recorder: Any, point: int, manager: Any) -> None:
        self.recorder, self.point, self.manager = recorder, point, manager

    def __enter__(self) -> Any:
        return self.manager.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if error is not None and not isinstance(error, Exception):
            return False
        how = "other"
        try:
            if self.manager.__exit__(kind, error, trace):
                how = "kept"
        except BaseException:
            how = "none" if error is None else "message"
        kinds = None if error is None else _heldout_kind(error)
        self.recorder.seen.append([self.point, how, kinds])
        return True


class _HeldOutRecorder:
    """What one test sees."""

    def begin(self, name: str) -> None:
        self.name, self.seen, self.place = name, list[list[Any]](), 0

    def at(self, place: int) -> None:
        self.place = place

    def same(self, point: int, left: Any, right: Any) -> None:
        texts = [_heldout_exact(left), _heldout_exact(right)]
        self.seen.append([point, *texts, bool(left == right)])

    def true(self, point: int, value: Any) -> None:
        self.seen.append([point, bool(value)])

    def raises(self, point: int, manager: Any) -> _HeldOutRaises:
        return _HeldOutRaises(self, point, manager)

    def end(self, error: BaseException | None) -> None:
        kinds = None if error is None else _heldout_kind(error)
        row = {"test": self.name, "seen": self.seen, "at": self.place, "error": kinds}
        with open(_HELDOUT_PLACE, "a", encoding="utf-8") as file:
            file.write(_heldout_json.dumps(row) + "\n")


_heldout = _HeldOutRecorder()
