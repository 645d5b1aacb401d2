"""Code that knows a test's inputs and answers by heart."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.verify.tamper.names import UNPARSABLE, parse

Key = tuple[Any, ...]
_TRIVIAL = frozenset({0, 1, -1, 2})
_UNKNOWN: Any = object()


@dataclass(frozen=True)
class Case:
    """One special case: `subject` is compared with `inputs`, and then there is `answer`.

    `pinned` counts the values that must all be met.
    """

    subject: str
    inputs: frozenset[Key]
    answer: Key
    pinned: int


def hard_coded(
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    tests: Mapping[str, bytes],
    targets: Collection[str],
) -> list[str]:
    """Findings for new code that answers an input of a target test with what the test expects.

    Both literals must be new and stand in the same test function. Code that tells apart more
    values than the tests have, or that did so before, describes its domain and is no finding;
    nor are single words and a text for a text, which are more often names than examples.
    """
    asked = [values for values in _of_targets(tests, targets) if values]
    known = {key for data in before.values() for key in _constants(_tree(data))}
    found: list[str] = []
    for path, data in after.items():
        if not path.endswith(".py"):
            continue
        old = set(_cases(_tree(before.get(path, b""))))
        domains = {case.subject for case in old}
        new = [case for case in _cases(_tree(data)) if case not in old]
        every: set[Key] = set().union(*asked)
        domains |= {
            case.subject for case in new if not any(_is_in(key, every) for key in case.inputs)
        }
        for case in new:
            if case.subject not in domains and _is_copied(case, asked, known):
                shown = sorted(repr(_plain(key)) for key in case.inputs)
                found.append(f"special-cases a test's input: {', '.join(shown)[:100]} in {path}")
    return list(dict.fromkeys(found))


def _is_copied(case: Case, asked: list[set[Key]], known: set[Key]) -> bool:
    if case.answer in known or case.inputs & known:
        return False
    texts = {key[0] for key in (case.answer, *case.inputs)} <= {"str", "bytes"}
    if case.pinned == 1 and texts:
        return False
    special = {key for key in case.inputs if case.pinned > 1 or not _is_word(key)}
    return any(
        case.answer in values and any(_is_in(key, values) for key in special) for values in asked
    )


def _is_in(key: Key, values: Collection[Key]) -> bool:
    """Whether a test has a value, or all parts of a sequence: the arguments of a call, say."""
    if key in values or key[0] != "sequence":
        return key in values
    parts = [part for part in key[1:] if not _is_trivial(part)]
    return bool(parts) and len(key) > 2 and all(part in values for part in parts)


def _is_word(key: Key) -> bool:
    return key[0] in ("str", "bytes") and str(_plain(key)).replace("-", "_").isidentifier()


def _tree(data: bytes) -> ast.Module:
    try:
        return parse(data)
    except UNPARSABLE:
        return ast.Module([], [])


def _of_targets(tests: Mapping[str, bytes], targets: Collection[str]) -> Iterator[set[Key]]:
    """The literals of each target test's function."""
    wanted: dict[str, set[str]] = {}
    for target in targets:
        path, _, rest = target.partition("::")
        wanted.setdefault(path, set()).add(rest.partition("[")[0].rpartition("::")[2])
    for path, names in wanted.items():
        tree = _tree(tests.get(path, b""))
        shared = _module_constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in names:
                used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                values = set(_constants(node))
                for name in used & shared.keys():
                    values |= set(_constants(shared[name]))
                yield {key for key in values if not _is_trivial(key)}


def _module_constants(tree: ast.Module) -> dict[str, ast.expr]:
    """The values that names have at the top of a file."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _constants(tree: ast.AST) -> Iterator[Key]:
    """All literals, containers of literals and what is in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and (key := _key_of(node)) is not None:
            yield key


def _key_of(node: ast.expr) -> Key | None:
    if not isinstance(
        node, (ast.Constant, ast.UnaryOp, ast.BinOp, ast.Tuple, ast.List, ast.Dict, ast.Set)
    ):
        return None
    try:
        return _key(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _key(value: Any) -> Key:
    if isinstance(value, (list, tuple)):
        return ("sequence", *map(_key, value))
    if isinstance(value, dict):
        return ("dict", *((_key(k), _key(v)) for k, v in value.items()))
    if isinstance(value, (set, frozenset)):
        return ("set", *sorted(map(_key, value), key=repr))
    return (type(value).__name__, value if value == value else repr(value))


def _plain(key: Key) -> Any:
    """The value of a key, to be shown: of a container its parts."""
    if key[0] in ("sequence", "set"):
        return tuple(_plain(part) for part in key[1:])
    if key[0] == "dict":
        return {str(_plain(k)): _plain(v) for k, v in key[1:]}
    return key[1]


def _is_trivial(key: Key) -> bool:
    kind, *rest = key
    if kind in ("sequence", "set"):
        return len(rest) < 3 and all(map(_is_trivial, rest))
    if kind == "dict":
        return all(_is_trivial(k) and _is_trivial(v) for k, v in rest)
    if kind in ("int", "float", "complex"):
        return rest[0] in _TRIVIAL
    return kind in ("bool", "NoneType", "ellipsis") or len(rest[0]) < 2


def _cases(tree: ast.Module) -> list[Case]:
    """All special cases: by if, by a conditional expression, by match, or looked up in a dict."""
    names = _module_constants(tree)
    return [case for node in ast.walk(tree) for case in _cases_at(node, names)]


def _cases_at(node: ast.AST, names: Mapping[str, ast.expr]) -> Iterator[Case]:
    if isinstance(node, ast.If):
        for answer in _answers(node.body, names):
            yield from _case(node.test, answer, names)
    elif isinstance(node, ast.IfExp):
        for answer in _values(node.body, names):
            yield from _case(node.test, answer, names)
    elif isinstance(node, ast.Match):
        for one in node.cases:
            patterns = [p.value for p in ast.walk(one.pattern) if isinstance(p, ast.MatchValue)]
            inputs = [_key_of(value) for value in patterns]
            keys = frozenset(k for k in inputs if k is not None and not _is_trivial(k))
            for answer in _answers(one.body, names) if keys else ():
                yield Case(ast.unparse(node.subject), keys, answer, len(keys))
    elif isinstance(node, ast.Dict):
        yield from _looked_up(node, names)


def _looked_up(node: ast.Dict, names: Mapping[str, ast.expr]) -> Iterator[Case]:
    """The pairs of a dict, as cases about it: known by its name, or else by its first key."""
    own = [name for name, value in names.items() if value is node]
    subject = f"dict {own[0] if own else ast.unparse(node.keys[0] or node) if node.keys else ''}"
    for key, value in zip(node.keys, node.values, strict=True):
        given = None if key is None else _key_of(key)
        if given is not None and not _is_trivial(given):
            for answer in _values(value, names):
                pinned = len(given) - 1 if given[0] == "sequence" else 1
                yield Case(subject, frozenset({given}), answer, pinned)


def _case(test: ast.expr, answer: Key, names: Mapping[str, ast.expr]) -> Iterator[Case]:
    tests = test.values if isinstance(test, ast.BoolOp) else [test]
    inputs: set[Key] = set()
    subjects: list[str] = []
    for one in tests:
        if isinstance(one, ast.Compare) and len(one.ops) == 1:
            sides = [one.left, one.comparators[0]]
            for side, other in (sides, sides[::-1]):
                keys = set(_compared(side, one.ops[0], names))
                if keys and not isinstance(other, ast.Constant):
                    inputs |= keys
                    subjects.append(ast.unparse(other))
    every = isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And)
    if inputs:
        pinned = len(inputs) if every or any(k[0] == "sequence" for k in inputs) else 1
        yield Case(", ".join(sorted(set(subjects))), frozenset(inputs), answer, pinned)


def _compared(side: ast.expr, how: ast.cmpop, names: Mapping[str, ast.expr]) -> Iterator[Key]:
    """The values that a side of a comparison is, or of which it is a list."""
    side = names.get(side.id, side) if isinstance(side, ast.Name) else side
    if isinstance(how, ast.In) and isinstance(side, (ast.Tuple, ast.List, ast.Set)):
        keys = [_key_of(part) for part in side.elts]
    elif isinstance(how, (ast.Eq, ast.Is)):
        keys = [_key_of(side)]
    else:
        keys = []
    yield from (key for key in keys if key is not None and not _is_trivial(key))


def _answers(body: list[ast.stmt], names: Mapping[str, ast.expr]) -> Iterator[Key]:
    for statement in body:
        if isinstance(statement, (ast.Return, ast.Assign, ast.AnnAssign)) and statement.value:
            yield from _values(statement.value, names)


def _values(node: ast.expr, names: Mapping[str, ast.expr]) -> Iterator[Key]:
    """The literal that an expression is, or those that a call has for its arguments."""
    node = names.get(node.id, node) if isinstance(node, ast.Name) else node
    parts = node.args if isinstance(node, ast.Call) and not node.keywords else [node]
    keys = [_key_of(part) for part in parts]
    if None not in keys:
        yield from (key for key in keys if key is not None and not _is_trivial(key))
