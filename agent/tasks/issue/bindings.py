"""What the variables of a parametrised test and of its loops were, as far as its text tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from agent.tasks.issue.syntax import FUNCTIONS, elements, last_name, stored, times_stored

_Level = list[tuple[set[str], dict[str, ast.expr]]]


def parameters(
    module: ast.Module, classes: Sequence[ast.ClassDef], function: FUNCTIONS, test_id: str
) -> dict[str, ast.expr]:
    """What the parameters of a parametrised test were, by the brackets of its id."""
    name, opened, given = test_id.partition("::")[2].partition("[")
    if not opened or name.split("::")[-1] != function.name:
        return {}
    owners = [function, *reversed(classes)]
    marks = [d for owner in owners for d in reversed(owner.decorator_list)]
    levels = [
        _level(mark, module)
        for mark in marks
        if isinstance(mark, ast.Call) and last_name(mark.func) == "parametrize"
    ]
    found = list(_matches([level for level in levels if level], given.removesuffix("]")))
    if len(found) != 1:
        return {}
    return {key: value for key, value in found[0].items() if not times_stored(key, function)}


def rounds(
    loop: ast.For, function: FUNCTIONS, *blocks: Sequence[ast.stmt]
) -> list[Mapping[str, ast.expr]]:
    """What a loop binds in each round; empty when its text does not tell.

    `blocks` are where a name of what it goes through may be assigned.
    """
    if any(times_stored(name, function) != 1 for name in stored(loop.target)):
        return []
    found = [_bound(loop.target, value) for value in _rows(loop.iter, blocks)]
    return [given for given in found if given is not None] if all(found) else []


def _rows(iterated: ast.expr, blocks: Sequence[Sequence[ast.stmt]]) -> list[ast.expr]:
    match iterated:
        case ast.Call(func=ast.Attribute(value=ast.Dict(keys=keys, values=values), attr="items")):
            pairs = [(key, value) for key, value in zip(keys, values, strict=True) if key]
            return [ast.Tuple([key, value], ast.Load()) for key, value in pairs]
    return elements(iterated, *blocks)


def _bound(target: ast.expr, value: ast.expr) -> dict[str, ast.expr] | None:
    """The names of a target with their part of a value; None when they do not fit."""
    if isinstance(target, ast.Name):
        return {target.id: value}
    names, values = elements(target), elements(value)
    if len(names) != len(values) or not names:
        return None
    bound: dict[str, ast.expr] = {}
    for name, part in zip(names, values, strict=True):
        inner = _bound(name, part)
        if inner is None:
            return None
        bound |= inner
    return bound


def _matches(levels: Sequence[_Level], given: str) -> Iterator[dict[str, ast.expr]]:
    if not levels:
        if not given:
            yield {}
        return
    for ids, values in levels[0]:
        for text in ids:
            if given == text and len(levels) == 1:
                yield values
            elif len(levels) > 1 and given.startswith(f"{text}-"):
                for more in _matches(levels[1:], given[len(text) + 1 :]):
                    yield {**values, **more}


def _level(mark: ast.Call, module: ast.Module) -> _Level:
    """The sets of parameters of one `parametrize`, each with the ids that it may have."""
    keywords = {k.arg: k.value for k in mark.keywords}
    parts = [*mark.args, *(keywords[k] for k in ("argnames", "argvalues") if k in keywords)]
    if len(parts) < 2 or "indirect" in keywords:
        return []
    names, rows, ids = _names(parts[0]), elements(parts[1], module.body), keywords.get("ids")
    given_ids = elements(ids, module.body) if ids is not None else []
    level: _Level = []
    for number, row in enumerate(rows):
        own = given_ids[number] if number < len(given_ids) else None
        values = [row]
        if isinstance(row, ast.Call) and last_name(row.func) == "param":
            own = next((k.value for k in row.keywords if k.arg == "id"), own)
            values = row.args
        elif len(names) > 1:
            values = elements(row, module.body)
        if len(values) != len(names):
            continue
        if isinstance(own, ast.Constant) and own.value is not None:
            texts = {str(own.value)}
        else:
            texts = {""}
            for place, (name, value) in enumerate(zip(names, values, strict=True)):
                joint = "-" if place else ""
                texts = {
                    f"{t}{joint}{i}" for t in texts for i in _value_ids(value, name + str(number))
                }
        level.append((texts, dict(zip(names, values, strict=True))))
    return level


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [name.strip() for name in node.value.split(",") if name.strip()]
    return [str(n.value) for n in elements(node) if isinstance(n, ast.Constant)]


def _value_ids(node: ast.expr, numbered: str) -> set[str]:
    """How pytest may write a value in an id (its `IdMaker`)."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return {numbered, last_name(node) or numbered, ast.unparse(node)}
    if isinstance(value, str):
        return {value.encode("unicode_escape").decode()}
    if isinstance(value, bytes):
        return {value.decode("ascii", "backslashreplace")}
    return {str(value) if isinstance(value, int | float | complex | None) else numbered}
