"""Other values of the same kind: numbers, texts and containers, a little changed.

Standalone: standard library only, Python 3.8 and later, so that it also runs inside a sandbox.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from functools import partial
from operator import setitem
from random import Random
from typing import Any

_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
_DEPTH, _PARTS = 4, 50


def varied(value: Any, random: Random) -> Any:
    """The value with one number, text or container in it changed; None where it holds none.

    Lists, dicts and objects are changed in place.
    """
    held = [value]
    places = list(_places(value, partial(setitem, held, 0), _DEPTH))
    if not places:
        return None
    part, put = random.choice(places)
    put(changed(part, random))
    return held[0]


def changed(value: Any, random: Random) -> Any:
    """Another value of the same kind, for a plain one, or a list or a dict that holds something."""
    kind = type(value)
    if kind is bool:
        return not value
    if kind is int:
        return integer(value, random)
    if kind is float:
        return floating(value, random)
    if kind is str:
        return text(value, random)
    if kind is bytes:
        return data(value, random)
    if kind is list:
        return sequence(value, random)
    gone = random.choice(list(value))
    return {key: held for key, held in value.items() if key is not gone}


def integer(number: int, random: Random) -> int:
    """A number near it, twice it or its negative."""
    others = {number + 1, number - 1, number * 2, -number} - {number}
    return random.choice(sorted(others))


def floating(number: float, random: Random) -> float:
    """A number near it, a multiple of it or its negative."""
    return random.choice([number + 1, number - 1, number * 2, number / 2, -number])


def data(value: bytes, random: Random) -> bytes:
    """Other bytes, as `text` changes a text."""
    return text(value.decode("latin-1"), random).encode("latin-1", "replace")


def sequence(parts: list[Any], random: Random) -> list[Any]:
    """The parts without one, with one twice, or in reverse."""
    at = random.randrange(len(parts))
    others = [without(parts, at), [*parts, parts[at]], list(reversed(parts))]
    return random.choice(others)


def without(parts: list[Any], gone: int) -> list[Any]:
    """The parts but for one."""
    return [part for number, part in enumerate(parts) if number != gone]


def text(value: str, random: Random) -> str:
    """Another text: characters of the same classes, longer, shorter, in another order."""
    if not value:
        return random.choice(["a", "b c", "D"])
    ways = [_replaced, _replaced, _doubled, _shortened, _swapped, _reordered]
    for way in random.sample(ways, len(ways)):
        other = way(value, random)
        if other not in ("", value):
            return other
    return value + value


def _places(
    value: Any, put: Callable[[Any], object], depth: int
) -> Iterator[tuple[Any, Callable[[Any], object]]]:
    """The parts of a value that can be changed, each with what puts another in its place."""
    kind = type(value)
    if kind in (bool, int, float, str, bytes) or (kind in (list, dict) and value):
        yield value, put
    if not depth:
        return
    held: list[tuple[Any, Callable[[Any], object]]] = []
    if kind is list:
        held = [(part, partial(setitem, value, n)) for n, part in enumerate(value)]
    elif kind is dict:
        held = [(part, partial(setitem, value, key)) for key, part in value.items()]
    elif kind is tuple:
        held = [(part, partial(_put_in_tuple, value, put, n)) for n, part in enumerate(value)]
    elif type(getattr(value, "__dict__", None)) is dict:
        own = vars(value)
        held = [(part, partial(setitem, own, name)) for name, part in own.items()]
    for part, change in held[:_PARTS]:
        yield from _places(part, change, depth - 1)


def _put_in_tuple(
    whole: tuple[Any, ...], put: Callable[[Any], object], at: int, other: Any
) -> None:
    put((*whole[:at], other, *whole[at + 1 :]))


def _replaced(value: str, random: Random) -> str:
    """Some characters replaced by others of their class."""
    places = [n for n, letter in enumerate(value) if any(letter in known for known in _CLASSES)]
    chosen = set(random.sample(places, min(len(places), random.randint(1, 3))))
    return "".join(
        _other(letter, random) if number in chosen else letter
        for number, letter in enumerate(value)
    )


def _other(letter: str, random: Random) -> str:
    (known,) = (known for known in _CLASSES if letter in known)
    return random.choice(known.replace(letter, ""))


def _doubled(value: str, random: Random) -> str:
    start = random.randrange(len(value))
    end = min(len(value), start + random.randint(1, 3))
    return value[:end] + value[start:]


def _shortened(value: str, random: Random) -> str:
    gone = random.randrange(len(value))
    return value[:gone] + value[gone + 1 :]


def _swapped(value: str, random: Random) -> str:
    if len(value) < 2:
        return value
    at = random.randrange(len(value) - 1)
    return value[:at] + value[at + 1] + value[at] + value[at + 2 :]


def _reordered(value: str, random: Random) -> str:
    words = value.split(" ")
    random.shuffle(words)
    return " ".join(words)
