"""Reading a test that failed: the statement, and its expressions with the values filled in."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

LONG = 120
SETUP_LINES, SETUP_CHARACTERS = 8, 400

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Level = list[tuple[set[str], dict[str, ast.expr]]]


@dataclass(frozen=True)
class Shown:
    """An expression as text, what has to run first, and whether some of its names stay unknown."""

    text: str
    setup: str = ""
    loose: bool = False


@dataclass(frozen=True)
class Scene:
    """The failing statement of a test file, and what ran before it in its function."""

    module: ast.Module
    statement: ast.stmt
    before: tuple[ast.stmt, ...] = ()
    function: _Function | None = None
    classes: tuple[ast.ClassDef, ...] = ()
    parameters: Mapping[str, ast.expr] | None = None

    def inside(self, *names: str) -> ast.Call | None:
        """The call of one of these functions in whose `with` the statement stands."""
        for node in ast.walk(self.function or self.module):
            if isinstance(node, ast.With | ast.AsyncWith) and self.statement in node.body:
                for item in node.items:
                    call = item.context_expr
                    if isinstance(call, ast.Call) and last_name(call.func) in names:
                        return call
        return None

    def filled(self, node: ast.expr) -> ast.expr:
        """The expression with parameters, constants and variables replaced by what they hold."""
        filled: ast.expr = _Filler(self).visit(copy.deepcopy(node))
        return filled

    def show(self, node: ast.expr, called: ast.Call | None = None) -> Shown:
        """The expression as a reader without the test can follow it.

        `called` is the same call with the values that its arguments had, where they are known.
        """
        text = ast.unparse(self.filled(node))
        if len(text) <= LONG and not self._unknown(self.filled(node)):
            return Shown(text)
        if called is not None and isinstance(node, ast.Call):
            whole = copy.deepcopy(node)
            whole.args, whole.keywords = called.args, called.keywords
            whole = ast.parse(ast.unparse(self.filled(whole)), mode="eval").body  # type: ignore[assignment]
            if len(ast.unparse(whole)) <= LONG and not self._unknown(whole):
                return Shown(ast.unparse(whole))
        half = ast.unparse(_Filler(self, only_parameters=True).visit(copy.deepcopy(node)))
        setup, left = self._setup(node)
        return Shown(half, setup, bool(left))

    def _unknown(self, node: ast.AST) -> set[str]:
        """The names of the function that an expression still uses."""
        local = _stored(self.function) if self.function else set()
        return (_loaded(node) - _stored(node)) & local - {"self", "cls"}

    def _setup(self, node: ast.expr) -> tuple[str, set[str]]:
        """The statements that make the names of an expression, and the names that none makes."""
        filler = _Filler(self, only_parameters=True)
        needed = self._unknown(filler.visit(copy.deepcopy(node)))
        made: set[str] = set()
        lines: list[str] = []
        for statement in reversed(self.before):
            names = _loaded(statement) | _stored(statement)
            if not names & needed or _checks(statement):
                continue
            made |= _stored(statement)
            statement = filler.visit(copy.deepcopy(statement))
            needed |= self._unknown(statement)
            lines = [*ast.unparse(statement).splitlines(), *lines]
        text = "\n".join(lines)
        if len(lines) > SETUP_LINES or len(text) > SETUP_CHARACTERS:
            return "", needed
        return text, needed - made


def read_scene(source: bytes, line: int, test_id: str) -> Scene | None:
    """The scene at a line (from 1) of a test file; None when there is none to read."""
    try:
        module = _parsed(source)
        scene = _descend(Scene(module, ast.Pass()), module.body, line)
        if scene is None or scene.function is None:
            return scene
        return replace(scene, parameters=_parameters(scene, test_id))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=16)
def _parsed(source: bytes) -> ast.Module:
    return ast.parse(source)


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name, empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _descend(scene: Scene, block: Sequence[ast.stmt], line: int) -> Scene | None:
    for number, statement in enumerate(block):
        if not statement.lineno <= line <= (statement.end_lineno or statement.lineno):
            continue
        before = (*scene.before, *block[:number])
        here = replace(scene, statement=statement, before=before)
        inner = here
        if isinstance(statement, _Function):
            inner = replace(here, function=statement, before=())
        elif isinstance(statement, ast.ClassDef):
            inner = replace(here, classes=(*scene.classes, statement), before=())
        deeper = (_descend(inner, part, line) for part in _blocks(statement))
        return next((found for found in deeper if found is not None), here)
    return None


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for _, value in ast.iter_fields(statement):
        if not isinstance(value, list):
            continue
        if value and isinstance(value[0], ast.stmt):
            yield value
        for part in value:
            if isinstance(part, ast.ExceptHandler | ast.match_case):
                yield part.body


def _loaded(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _stored(node: ast.AST) -> set[str]:
    """The names that a piece of code binds."""
    names: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            names.add(part.id)
        elif isinstance(part, ast.arg):
            names.add(part.arg)
        elif isinstance(part, ast.ExceptHandler) and part.name:
            names.add(part.name)
        elif isinstance(part, ast.alias):
            names.add((part.asname or part.name).split(".")[0])
        elif isinstance(part, ast.FunctionDef | ast.ClassDef) and part is not node:
            names.add(part.name)
    return names


def _checks(statement: ast.stmt) -> bool:
    """Whether a statement belongs to the testing, not to what is tested."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Assert):
            return True
        name = last_name(node.func) if isinstance(node, ast.Call) else ""
        if name.startswith("assert") or name in {"raises", "warns", "deprecated_call"}:
            return True
    return False


class _Filler(ast.NodeTransformer):
    """Replaces names by the expressions that they stand for, where that changes no meaning."""

    def __init__(self, scene: Scene, only_parameters: bool = False) -> None:
        self.scene = scene
        self.only_parameters = only_parameters
        self.active: set[str] = set()

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a name that is read."""
        if not isinstance(node.ctx, ast.Load) or node.id in self.active:
            return node
        value = self.value(node.id)
        if value is None:
            return node
        self.active.add(node.id)
        filled: ast.expr = self.visit(copy.deepcopy(value))
        self.active.discard(node.id)
        return filled

    def value(self, name: str) -> ast.expr | None:
        scene = self.scene
        if scene.parameters and name in scene.parameters:
            return scene.parameters[name]
        if scene.function is not None and name in _stored(scene.function):
            return None if self.only_parameters else self.variable(name, scene.function)
        found = _assigned(name, scene.module.body)
        if found is None or len(ast.unparse(found)) > LONG // 2 or not _is_plain(found):
            return None
        return found

    def variable(self, name: str, function: _Function) -> ast.expr | None:
        """What a variable was given, if once only and nothing can have changed it since."""
        value = _assigned(name, self.scene.before)
        bound = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == name]
        if value is None or sum(not isinstance(n.ctx, ast.Load) for n in bound) != 1:
            return None
        if isinstance(value, ast.Constant):
            return value
        ran = chain(self.scene.before, [self.scene.statement])
        uses = sum(
            isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)
            for statement in ran
            for n in ast.walk(statement)
        )
        return value if uses == 1 else None


def _assigned(name: str, block: Sequence[ast.stmt]) -> ast.expr | None:
    """The value of the only plain assignment to a name in a block."""
    makers = [statement for statement in block if name in _stored(statement)]
    if len(makers) == 1:
        match makers[0]:
            case ast.Assign(targets=[ast.Name()], value=value):
                return value
            case ast.AnnAssign(target=ast.Name(), value=ast.expr() as given):
                return given
    return None


def _is_plain(node: ast.expr) -> bool:
    """Whether an expression is made of constants only, with the builtins that make more of them."""
    return _loaded(node) - _stored(node) <= {"range", "list", "dict", "set", "tuple", "str"}


def _parameters(scene: Scene, test_id: str) -> dict[str, ast.expr]:
    """What the parameters of a parametrised test were, by the brackets of its id."""
    name, opened, given = test_id.partition("::")[2].partition("[")
    function = scene.function
    if not opened or function is None or name.split("::")[-1] != function.name:
        return {}
    owners = [function, *reversed(scene.classes)]
    marks = [d for owner in owners for d in reversed(owner.decorator_list)]
    levels = [
        _level(mark, scene.module)
        for mark in marks
        if isinstance(mark, ast.Call) and last_name(mark.func) == "parametrize"
    ]
    found = list(_matches([level for level in levels if level], given.removesuffix("]")))
    if len(found) != 1:
        return {}
    bound = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and _is_store(n)}
    return {key: value for key, value in found[0].items() if key not in bound}


def _is_store(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


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
    names, rows, ids = _names(parts[0]), _elements(parts[1], module), keywords.get("ids")
    given_ids = _elements(ids, module) if ids is not None else []
    level: _Level = []
    for number, row in enumerate(rows):
        own = given_ids[number] if number < len(given_ids) else None
        values = [row]
        if isinstance(row, ast.Call) and last_name(row.func) == "param":
            own = next((k.value for k in row.keywords if k.arg == "id"), own)
            values = row.args
        elif len(names) > 1:
            values = _elements(row, module)
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
    return [str(n.value) for n in _elements(node, None) if isinstance(n, ast.Constant)]


def _elements(node: ast.expr, module: ast.Module | None) -> list[ast.expr]:
    if isinstance(node, ast.Name) and module is not None:
        found = _assigned(node.id, module.body)
        return _elements(found, None) if found is not None else []
    return node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else []


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
