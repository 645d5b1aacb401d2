"""Runs inside the sandbox: gives live functions the code of an edited file, without a new import.

Standalone, standard library only, Python 3.8 and later. An edit of a function's body is put in
place by setting the `__code__` of the function objects that were made of the old text. What else an
edit may change (defaults, decorators, class bodies, module level) happens at import, and is `Cold`.
"""

from __future__ import annotations
import __future__

import ast
import gc
import re
import types
from typing import Any

COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}
_FUTURE = re.compile(rb"^from __future__ import (.+)$", re.MULTILINE)
_OPTIMIZED = 1


class Cold(Exception):
    """The edit changes what runs when the file is imported."""


class Source:
    """One file of the workspace as it was imported."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self.data = file.read()
        self.path = path
        self.flags = 0
        for names in _FUTURE.findall(self.data):
            for name in re.findall(rb"\w+", names):
                feature = getattr(__future__, name.decode(), None)
                self.flags |= getattr(feature, "compiler_flag", 0)
        starts = [0]
        for line in self.data.split(b"\n"):
            starts.append(starts[-1] + len(line) + 1)
        self.blocks: list[tuple[int, int, int]] = []
        for node in ast.parse(self.data).body:
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(d.lineno for d in decorators)])
            end = min(starts[node.end_lineno or node.lineno], len(self.data))
            self.blocks.append((starts[first - 1], end, first))
        self.compiled: dict[int, types.CodeType] = {}
        self.functions: dict[tuple[str, int], list[types.FunctionType]] = {}

    def find_functions(self, live: list[types.FunctionType]) -> None:
        """Note the function objects that were made of this file."""
        for function in live:
            code = function.__code__
            if code.co_filename == self.path:
                key = (code.co_name, code.co_firstlineno)
                self.functions.setdefault(key, []).append(function)

    def block(self, start: int, end: int) -> tuple[int, int, int]:
        """The top-level statement around a range of bytes. Raises Cold."""
        for block in self.blocks:
            if block[0] <= start and end <= block[1]:
                return block
        raise Cold

    def compile(self, text: bytes, first: int) -> types.CodeType:
        """A top-level statement as code, with the line numbers that it has in the file."""
        code = compile(b"\n" * (first - 1) + text, self.path, "exec", self.flags, True)
        assert isinstance(code, types.CodeType)
        return code

    def swaps(self, start: int, end: int, text: bytes) -> list[Any]:
        """What to set for `text` in the place of the bytes from `start` to `end`.

        Pairs of function and code; none when the program stays the same. Raises Cold, and
        SyntaxError or ValueError for what is no program.
        """
        left, right, first = self.block(start, end)
        if left not in self.compiled:
            self.compiled[left] = self.compile(self.data[left:right], first)
        old = self.compiled[left]
        new = self.compile(self.data[left:start] + text + self.data[end:right], first)
        pairs: list[tuple[types.CodeType, types.CodeType, bool]] = []
        differences(old, new, pairs)
        found = []
        for before, after, outermost in pairs:
            functions = self.functions.get((before.co_name, before.co_firstlineno), [])
            live = [f for f in functions if alike(f.__code__, before)]
            if outermost and not live:
                raise Cold
            if live and before.co_freevars != after.co_freevars:
                raise Cold
            found += [(function, after) for function in live]
        return found


def live_functions() -> list[types.FunctionType]:
    """All function objects of this process."""
    return [thing for thing in gc.get_objects() if type(thing) is types.FunctionType]


def nested(code: types.CodeType) -> list[types.CodeType]:
    """The code objects among the constants of a code object."""
    return [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def shape(code: types.CodeType) -> tuple[Any, ...]:
    """What a code object does, without positions and without what it holds nested."""
    constants = tuple(
        ("code", c.co_name) if isinstance(c, types.CodeType) else told(c) for c in code.co_consts
    )
    return (
        code.co_code,
        constants,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_flags & 0xFFFF,  # without those of __future__
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        getattr(code, "co_exceptiontable", b""),
    )


def told(constant: Any) -> Any:
    """A constant such that 1, 1.0 and True differ, and sets have an order."""
    if isinstance(constant, frozenset):
        return ("set", tuple(sorted(map(repr, constant))))
    return repr(constant)


def alike(one: types.CodeType, other: types.CodeType) -> bool:
    """Whether two code objects of the same place are of the same text.

    Instructions are left out: they depend on what is imported above, which `other` was compiled
    without.
    """
    return shape(one)[1:-1] == shape(other)[1:-1]


def differences(
    old: types.CodeType,
    new: types.CodeType,
    found: list[tuple[types.CodeType, types.CodeType, bool]],
    inside: bool = False,
) -> bool:
    """Collect the functions that differ, as old, new and whether in no other function.

    Raises Cold when something differs that runs at import.
    """
    own = shape(old) != shape(new)
    function = bool(old.co_flags & _OPTIMIZED) and old.co_name not in COMPREHENSIONS
    olds, news = nested(old), nested(new)
    inner = False
    if [c.co_name for c in olds] == [c.co_name for c in news]:
        for before, after in zip(olds, news):  # noqa: B905 - Python 3.8
            inner = differences(before, after, found, inside or function) or inner
    if not own and not inner:
        return False
    if function:
        found.append((old, new, not inside))
    elif not inside and (own or old.co_name in COMPREHENSIONS):
        raise Cold
    return True


def meaning(swaps: list[Any]) -> tuple[Any, ...]:
    """What an edit amounts to, for telling equal ones apart from others."""
    return tuple((id(function), whole(code)) for function, code in swaps)


def whole(code: types.CodeType) -> tuple[Any, ...]:
    """What a code object does, with what it holds nested."""
    return (shape(code), tuple(whole(inner) for inner in nested(code)))
