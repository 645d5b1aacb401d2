"""The part of GitHub's expression language that our workflows use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<sign>==|!=|&&|\|\||[!(),])|(?P<name>[\w.*-]+))"
)
_EMBEDDED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


def fill(text: Any, context: Mapping[str, Any]) -> str:
    """A value with its `${{ … }}` replaced, as text."""
    if not isinstance(text, str):
        return shown(text)
    return _EMBEDDED.sub(lambda found: shown(evaluate(found[1], context)), text)


def shown(value: Any) -> str:
    """A value as the runner writes it."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def evaluate(expression: str, context: Mapping[str, Any]) -> Any:
    """The value of an expression. A context that is not known is an error of the workflow."""
    parser = _Parser(expression, context)
    value = parser.either()
    assert not parser.left, expression
    return value


class _Parser:
    def __init__(self, expression: str, context: Mapping[str, Any]) -> None:
        self.left = []
        at = 0
        while at < len(expression.rstrip()):
            found = _TOKEN.match(expression, at)
            assert found, f"{expression!r} at {at}"
            self.left.append(found)
            at = found.end()
        self.context = context

    def next_is(self, sign: str) -> bool:
        if self.left and self.left[0]["sign"] == sign:
            self.left.pop(0)
            return True
        return False

    def either(self) -> Any:
        value = self.both()
        while self.next_is("||"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:
        value = self.compared()
        while self.next_is("&&"):
            other = self.compared()
            value = other if value else value
        return value

    def compared(self) -> Any:
        value = self.single()
        if self.next_is("=="):
            return _same(value, self.single())
        if self.next_is("!="):
            return not _same(value, self.single())
        return value

    def single(self) -> Any:
        if self.next_is("!"):
            return not self.single()
        if self.next_is("("):
            value = self.either()
            assert self.next_is(")")
            return value
        token = self.left.pop(0)
        if token["text"]:
            return token["text"][1:-1].replace("''", "'")
        name = token["name"]
        if name in ("true", "false"):
            return name == "true"
        if self.next_is("("):
            arguments = []
            while not self.next_is(")"):
                arguments.append(self.either())
                self.next_is(",")
            return self.call(name, arguments)
        return self.look_up(name)

    def call(self, name: str, arguments: list[Any]) -> Any:
        calls: dict[str, Callable[..., Any]] = {
            "always": lambda: True,
            "cancelled": lambda: False,
            "contains": lambda items, one: any(_same(item, one) for item in items or ()),
            "startsWith": lambda text, start: shown(text).lower().startswith(start.lower()),
        }
        return calls[name](*arguments)

    def look_up(self, name: str) -> Any:
        first, *rest = name.split(".")
        value = self.context[first]
        for part in rest:
            if isinstance(value, list):
                value = value if part == "*" else [one.get(part) for one in value]
                continue
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


def _same(one: Any, other: Any) -> bool:
    return shown(one).lower() == shown(other).lower()
