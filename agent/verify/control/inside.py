"""Values that differ from given ones. Also copied into changed test files, under other names.

Standalone: builtins only, Python 3.8 and later; no name of the module but its three definitions.
"""

from __future__ import annotations

from typing import Any


class Unlike:
    """Equals nothing but itself, and has no attribute that another object has."""

    def __init__(self, mark: int) -> None:
        self.__dict__["mark%d" % mark] = mark  # noqa: UP031


def other(value: Any, factor: int, shift: int) -> Any:
    """A value of the same type that differs from `value`.

    `factor` and `shift` (over 0) say by how much: a factor over 1 leads beyond any tolerance, a
    factor of 1 to a value close by. For what is no builtin, an object
    that equals nothing of its own accord. Of a long text only one line changes: pytest takes
    minutes to compare texts that differ in all of their lines.
    """
    kind = type(value)
    if kind is bool:
        return not value
    if kind is int:
        return value * factor + (shift if value >= 0 else -shift)
    if kind is float:
        if value != value or value in (float("inf"), -float("inf")):
            return float(shift)
        if abs(value) > 1e100:
            return -value / (factor + 1)
        if factor == 1:
            return value + (abs(value) / 100 + shift / 100)
        return value * factor + (shift if value >= 0 else -shift)
    if kind is complex:
        return complex(other(value.real, factor, shift), value.imag)
    if kind is str:
        lines = value.split("\n")
        part, turned = value, ""
        if len(lines) > 3:
            part = max(lines, key=lambda line: sum(sign.isalnum() for sign in line))
        for sign in part:
            for first, count in (("a", 26), ("A", 26), ("0", 10)):
                place = ord(sign) - ord(first)
                if 0 <= place < count:
                    sign = chr(ord(first) + (place + 1 + shift % (count - 1)) % count)
                    break
            turned += sign
        if turned == part:
            return value + chr(97 + shift % 26) + str(shift)
        return value.replace(part, turned, 1)
    if kind in (bytes, bytearray):
        return kind(other(value.decode("latin-1"), factor, shift).encode("latin-1"))
    if kind in (list, tuple):
        return kind(others(value, factor, shift))
    if kind in (set, frozenset):
        changed = kind(others(value, factor, shift))
        return changed if changed != value else kind([*changed, str(shift)])
    if kind is dict:
        if not value:
            return {str(shift): shift}
        return dict(zip(value, others(value.values(), factor, shift)))  # noqa: B905
    return Unlike(shift)


def others(values: Any, factor: int, shift: int) -> list[Any]:
    """The members of a container with all numbers and texts changed; without any, all members."""
    whole = list(values)
    if not whole:
        return [shift]
    plain = []
    for value in whole:
        inner = [value]
        found = False
        while inner and not found:
            one = inner.pop()
            found = type(one) in (int, float, complex, str, bytes, bytearray)
            if type(one) in (list, tuple, set, frozenset):
                inner += one
            elif type(one) is dict:
                inner += one.values()
        plain.append(found)
    if not any(plain):
        plain = [True] * len(whole)
    return [other(v, factor, shift) if p else v for v, p in zip(whole, plain)]  # noqa: B905
