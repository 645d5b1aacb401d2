"""The tests of a file, and which of them a failure is certain to reach the report of."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.verify.control.names import FUNCTIONS, Function, Names, is_generator
from agent.verify.control.places import Helper, Places
from agent.verify.control.values import Values

_DECORATORS = re.compile(
    r"(.*\.)?parametrize"
    r"|pytest\.mark\.(?!\w*(?i:skip|fail|flak|rais|error|expect|retry|rerun))\w+"
    r"|(unittest\.)?mock\.patch(\.\w+)*"
    r"|hypothesis\.(given|settings|example|seed)"
    r"|freezegun\.freeze_time"
    r"|staticmethod"
)
_DEEPEST = 5


@dataclass(frozen=True)
class _Test:
    """A test function. `methods` are those of its class; `sound` when nothing wraps it."""

    name: str
    function: Function
    methods: Mapping[str, Helper]
    sound: bool


def spoiled_tests(
    tree: ast.Module, names: Names, seed: int, only: Collection[str] | None
) -> frozenset[str]:
    """Change the tests of a file in place, or `only` some; the names of the certain ones."""
    rebound = names.bound | names.imported.keys() | _set_attributes(tree)
    shared = _helpers(tree.body, names)
    results: dict[str, list[bool]] = {}
    found = [test for test in _tests(tree.body, names) if only is None or test.name in only]
    for test in found:
        choice = random.Random(f"{seed} {test.name}")  # noqa: S311
        local = _helpers(test.function.body, names)
        places = Places(Values(names, choice), {**shared, **local}, test.methods)
        sound = test.sound and test.function.name not in rebound
        done = sound and (places.spoil(test.function) or places.end(test.function))
        results.setdefault(test.name, []).append(done)
    return frozenset(name for name, done in results.items() if all(done))


def _tests(
    body: Sequence[ast.stmt],
    names: Names,
    prefix: str = "",
    methods: Mapping[str, Helper] | None = None,
    sound: bool = True,
    awaited: bool = True,
) -> Iterator[_Test]:
    """Test functions of a module or a class, also those under a condition.

    `awaited` says whether coroutines run: a plain TestCase drops them, and they pass.
    """
    classes = Counter(node.name for node in body if isinstance(node, ast.ClassDef))
    for node in body:
        if isinstance(node, FUNCTIONS):
            if node.name.startswith("test"):
                good = sound and _is_plain(node, names) and not is_generator(node)
                good = good and (awaited or isinstance(node, ast.FunctionDef))
                yield _Test(prefix + node.name, node, methods or {}, good)
        elif isinstance(node, ast.ClassDef):
            good = sound and _is_plain(node, names) and not node.keywords
            good = good and classes[node.name] == 1 and node.name not in names.bound
            own = _inherited(node, names)
            waits = all("Async" in ast.unparse(base) for base in node.bases)
            yield from _tests(node.body, names, f"{prefix}{node.name}::", own, good, waits)
        else:
            for block in _blocks(node):
                yield from _tests(block, names, prefix, methods, sound, awaited)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of a compound statement."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield block
    for handler in getattr(node, "handlers", ()):
        yield handler.body


def _is_plain(node: Function | ast.ClassDef, names: Names) -> bool:
    """Whether no decorator can keep a failure from the report."""
    calls = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return all(_DECORATORS.fullmatch(names.dotted(call)) for call in calls)


def _helpers(body: list[ast.stmt], names: Names) -> dict[str, Helper]:
    """Functions of a block that are no tests, plain, and the only ones of their name."""
    count = Counter(names.defined)
    return {
        node.name: Helper(node, body)
        for node in body
        if isinstance(node, ast.FunctionDef)
        and not node.decorator_list
        and not is_generator(node)
        and not node.name.startswith("test")
        and node.name not in names.bound
        and node.name not in names.imported
        and count[node.name] == 1
    }


def _inherited(node: ast.ClassDef, names: Names, depth: int = 0) -> dict[str, Helper]:
    """Helpers of a class, and of those of the file that it is derived from."""
    found: dict[str, Helper] = {}
    for base in node.bases:
        for known in names.tree.body:
            is_base = isinstance(base, ast.Name) and getattr(known, "name", "") == base.id
            if is_base and isinstance(known, ast.ClassDef) and depth < _DEEPEST:
                found |= _inherited(known, names, depth + 1)
    return found | _helpers(node.body, names)


def _set_attributes(tree: ast.Module) -> set[str]:
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if not isinstance(node.ctx, ast.Load)}
