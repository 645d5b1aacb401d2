"""Other inputs of the same kind: numbers, texts and containers, a little changed."""

from __future__ import annotations

import ast
import string
from collections.abc import Sequence
from random import Random
from typing import TypeVar

_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
LONGEST = 2000

T = TypeVar("T")


def is_site(node: ast.AST) -> bool:
    """Whether an expression can be changed."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str | bytes):
            return len(node.value) <= LONGEST
        return isinstance(node.value, bool | int | float)
    if isinstance(node, ast.List | ast.Set):
        return len(node.elts) > 1 and not any(isinstance(e, ast.Starred) for e in node.elts)
    return isinstance(node, ast.Dict) and len(node.keys) > 1


def changed(node: ast.expr, random: Random) -> ast.expr:
    """Another expression of the same kind, for one that `is_site`."""
    match node:
        case ast.Constant(value=bool(truth)):
            return ast.Constant(not truth)
        case ast.Constant(value=int(number)):
            return _number(_integer(number, random))
        case ast.Constant(value=float(number)):
            return _number(random.choice([number + 1, number - 1, number * 2, number / 2, -number]))
        case ast.Constant(value=str(text)):
            return ast.Constant(_text(text, random))
        case ast.Constant(value=bytes(data)):
            return ast.Constant(_text(data.decode("latin-1"), random).encode("latin-1", "replace"))
        case ast.List(elts=parts):
            return ast.List(_sequence(parts, random), ast.Load())
        case ast.Set(elts=parts):
            return ast.Set(_without(parts, random.randrange(len(parts))))
        case ast.Dict(keys=keys, values=values):
            gone = random.randrange(len(keys))
            return ast.Dict(_without(keys, gone), _without(values, gone))
    raise AssertionError(f"{ast.dump(node)} cannot be changed")


def _integer(number: int, random: Random) -> int:
    others = {number + 1, number - 1, number * 2, -number} - {number}
    return random.choice(sorted(others))


def _number(value: float) -> ast.expr:
    """A literal as the parser has it: a minus sign is an operator."""
    if value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def _sequence(parts: Sequence[ast.expr], random: Random) -> list[ast.expr]:
    at = random.randrange(len(parts))
    others = [_without(parts, at), [*parts, parts[at]], list(reversed(parts))]
    return random.choice(others)


def _without(parts: Sequence[T], gone: int) -> list[T]:
    return [part for number, part in enumerate(parts) if number != gone]


def _text(text: str, random: Random) -> str:
    """Another text: characters of the same classes, longer, shorter, in another order."""
    if not text:
        return random.choice(["a", "b c", "D"])
    ways = [_replaced, _replaced, _doubled, _shortened, _swapped, _reordered]
    for way in random.sample(ways, len(ways)):
        other = way(text, random)
        if other not in ("", text):
            return other
    return text + text


def _replaced(text: str, random: Random) -> str:
    """Some characters replaced by others of their class."""
    places = [n for n, letter in enumerate(text) if any(letter in known for known in _CLASSES)]
    chosen = set(random.sample(places, min(len(places), random.randint(1, 3))))
    return "".join(
        _other(letter, random) if number in chosen else letter for number, letter in enumerate(text)
    )


def _other(letter: str, random: Random) -> str:
    (known,) = (known for known in _CLASSES if letter in known)
    return random.choice(known.replace(letter, ""))


def _doubled(text: str, random: Random) -> str:
    start = random.randrange(len(text))
    end = min(len(text), start + random.randint(1, 3))
    return text[:end] + text[start:]


def _shortened(text: str, random: Random) -> str:
    gone = random.randrange(len(text))
    return text[:gone] + text[gone + 1 :]


def _swapped(text: str, random: Random) -> str:
    if len(text) < 2:
        return text
    at = random.randrange(len(text) - 1)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _reordered(text: str, random: Random) -> str:
    words = text.split(" ")
    random.shuffle(words)
    return " ".join(words)
