"""The module of a target test, with other tests in the place of its own."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from random import Random

from agent.tasks.heldout.checks import Check, Equal, Raises, is_literal, with_checks
from agent.tasks.heldout.variants import Variant, variants
from agent.tasks.hide import test_place
from tools.sandbox.base import File

RECORDER = Path(__file__).parent / "inside" / "recorder.py"
MOST_FUNCTIONS = 12


@dataclass(frozen=True)
class Draft:
    """A test module, where its held-out one will stand, and variants of its failing tests."""

    path: str
    module: ast.Module
    variants: tuple[Variant, ...]


def drafts(files: Mapping[str, File], instance_id: str, failing: Sequence[str]) -> list[Draft]:
    """Variants of the failing tests, a draft for each file. `files` are of the good version."""
    wanted: dict[str, dict[str, list[str]]] = {}
    for test in failing:
        place = test_place(test)
        if place is not None and place[0] in files:
            parameters = test.partition("[")[2].removesuffix("]")
            wanted.setdefault(place[0], {}).setdefault(place[1], []).append(parameters)
    found = []
    for path, names in wanted.items():
        try:
            module = ast.parse(files[path].data)
        except (SyntaxError, ValueError, RecursionError):
            continue
        made = tuple(_variants(module, names, f"{instance_id}:{path}"))
        if made:
            found.append(Draft(_place(path, instance_id), module, made))
    return found


def _place(path: str, instance_id: str) -> str:
    digest = hashlib.sha256(f"{instance_id}:{path}".encode()).hexdigest()[:8]
    return str(PurePosixPath(path).with_name(f"test_heldout_{digest}.py"))


def _variants(module: ast.Module, names: Mapping[str, list[str]], seed: str) -> Iterable[Variant]:
    constants = _constants(module)
    functions = dict(_functions(module))
    there = sorted(name for name in names if name in functions)
    chosen = Random(seed).sample(there, min(len(there), MOST_FUNCTIONS))  # noqa: S311
    for name in sorted(chosen):
        owner = name.rpartition(".")[0]
        random = Random(f"{seed}:{name}")  # noqa: S311
        yield from variants(owner, functions[name], names[name], constants, random)


def _constants(module: ast.Module) -> dict[str, ast.expr]:
    """What is assigned once, at the top of a module, and is a list, a tuple or a literal."""
    stored = [
        node.id
        for node in ast.walk(module)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    return {
        node.targets[0].id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and stored.count(node.targets[0].id) == 1
        and (isinstance(node.value, ast.List | ast.Tuple) or is_literal(node.value))
    }


def _functions(module: ast.Module) -> Iterable[tuple[str, ast.FunctionDef]]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not any(map(_is_call, node.decorator_list)):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def _is_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call)


def recording(draft: Draft) -> File:
    """The module whose tests write down what they see."""
    recorder = ast.parse(RECORDER.read_text(encoding="utf-8")).body[2:]
    return _rendered(draft, recorder, {v.name: _recorded(v) for v in draft.variants})


def written(draft: Draft, tests: Mapping[str, ast.FunctionDef]) -> File:
    """The module with these tests, by the qualified names of their variants."""
    return _rendered(draft, ast.parse("import pytest").body, tests)


def _rendered(draft: Draft, head: Sequence[ast.stmt], tests: Mapping[str, ast.FunctionDef]) -> File:
    module = copy.deepcopy(draft.module)
    places: dict[str, list[ast.stmt]] = {}
    for variant in draft.variants:
        if variant.name in tests:
            places.setdefault(variant.owner, []).append(tests[variant.name])
    body = [node for node in _without_tests(module.body) if not _is_heir(node, places)]
    for node in body:
        if isinstance(node, ast.ClassDef):
            own = _without_tests(node.body) + places.get(node.name, [])
            node.body = own or [ast.Pass()]
    future = [n for n in body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    rest = [n for n in body if n not in future and not _is_docstring(n)]
    module.body = [*future, *head, *rest, *places.get("", [])]
    text = ast.unparse(ast.fix_missing_locations(module)) + "\n"
    return File(draft.path, text.encode("utf-8"))


def _without_tests(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    return [
        node
        for node in body
        if not (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test")
        )
    ]


def _is_heir(node: ast.stmt, owners: Collection[str]) -> bool:
    """Whether a class would run the tests of another one once more, in its own way."""
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return any(isinstance(base, ast.Name) and base.id in owners for base in bases)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _recorded(variant: Variant) -> ast.FunctionDef:
    new = copy.deepcopy(variant.function)
    inner: list[ast.stmt] = []
    for place, statements in enumerate(with_checks(new.body, _told)):
        inner += [_say("at", ast.Constant(place)), *statements]
    begin = ast.parse(f"_heldout.begin({variant.name!r})").body
    (guarded,) = ast.parse(
        "try:\n    pass\nexcept Exception as _heldout_error:\n    _heldout.end(_heldout_error)\n"
        "else:\n    _heldout.end(None)"
    ).body
    assert isinstance(guarded, ast.Try)
    guarded.body = inner
    new.body = [*begin, guarded]
    return new


def _say(method: str, *given: ast.expr) -> ast.stmt:
    return ast.Expr(_call(method, *given))


def _call(method: str, *given: ast.expr) -> ast.Call:
    name = ast.Name("_heldout", ast.Load())
    return ast.Call(ast.Attribute(name, method, ast.Load()), list(given), [])


def _told(number: int, check: Check, statement: ast.stmt) -> list[ast.stmt]:
    point = ast.Constant(number)
    if isinstance(check, Equal):
        return [_say("same", point, check.left, check.right)]
    if isinstance(check, Raises):
        manager = _call("raises", point, check.manager)
        return [ast.With([ast.withitem(manager, check.name)], check.body)]
    return [_say("true", point, check.test)]
