"""Reading a test that failed: the statement, and its expressions with the values filled in."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain

from agent.tasks.issue.bindings import parameters, rounds
from agent.tasks.issue.syntax import (
    FUNCTIONS,
    assigned,
    bound,
    checks,
    elements,
    freshly_bound,
    imported,
    last_name,
    leaves,
    loaded,
    stored,
    times_stored,
)

LONG, MOST_ROUNDS = 120, 200
SETUP_LINES, SETUP_CHARACTERS = 12, 600
_PLAIN = frozenset({"range", "list", "dict", "set", "tuple", "str"})


@dataclass(frozen=True)
class Shown:
    """An expression as text, what has to run first, and whether some of its names stay unknown.

    `rounds` says, in words, which variable of a loop it holds for, where the round is unknown.
    """

    text: str
    setup: str = ""
    rounds: str = ""
    loose: bool = False


@dataclass(frozen=True)
class Scene:
    """The failing statement of a test file, what ran before it, and the loops around it."""

    module: ast.Module
    statement: ast.stmt
    before: tuple[ast.stmt, ...] = ()
    function: FUNCTIONS | None = None
    classes: tuple[ast.ClassDef, ...] = ()
    loops: tuple[ast.For, ...] = ()
    values: Mapping[str, ast.expr] = field(default_factory=dict)

    def inside(self, *names: str) -> ast.Call | None:
        """The call of one of these functions in whose `with` the statement stands."""
        for node in ast.walk(self.function or self.module):
            if isinstance(node, ast.With | ast.AsyncWith) and self.statement in node.body:
                for item in node.items:
                    call = item.context_expr
                    if isinstance(call, ast.Call) and last_name(call.func) in names:
                        return call
        return None

    def in_rounds(self) -> list[Scene]:
        """The scene in each round of its loops, as far as their elements are known."""
        scenes = [self]
        for loop in self.loops if self.function else ():
            assert self.function is not None
            found = rounds(loop, self.function, self.before, self.module.body)
            if found and len(found) * len(scenes) <= MOST_ROUNDS:
                scenes = [replace(s, values={**s.values, **f}) for s in scenes for f in found]
        return scenes

    def filled(self, node: ast.expr) -> ast.expr:
        """The expression with parameters, constants and variables replaced by what they hold."""
        filled: ast.expr = _Filler(self).visit(copy.deepcopy(node))
        return filled

    def known(self, node: ast.expr) -> bool:
        """Whether a reader without the test knows each name of the expression, once filled."""
        return not self._unknown(self.filled(node))

    def show(self, node: ast.expr, called: ast.Call | None = None) -> Shown:
        """The expression as a reader without the test can follow it.

        `called` is the same call with the values that its arguments had, where they are known.
        """
        shown = {scene._show(node, called) for scene in self.in_rounds()}
        return shown.pop() if len(shown) == 1 else self._show(node, called)

    def _show(self, node: ast.expr, called: ast.Call | None) -> Shown:
        text = ast.unparse(self.filled(node))
        if len(text) <= LONG and self.known(node):
            return Shown(text)
        if called is not None and isinstance(node, ast.Call):
            whole = copy.deepcopy(node)
            whole.args, whole.keywords = called.args, called.keywords
            told = ast.unparse(self.filled(whole))
            if len(told) <= LONG and self.known(ast.parse(told, mode="eval").body):
                return Shown(told)
        half: ast.expr = _Filler(self, only_short=True).visit(copy.deepcopy(node))
        setup, left = self._setup(half)
        told_rounds = []
        for loop in self.loops:
            through = ast.unparse(self.filled(loop.iter))
            names = stored(loop.target)
            if names & left and len(through) <= LONG and self.known(loop.iter):
                left -= names
                told_rounds.append(f"for one `{ast.unparse(loop.target)}` of `{through}`")
        return Shown(ast.unparse(half), setup, ", ".join(told_rounds), bool(left))

    def _unknown(self, node: ast.AST) -> set[str]:
        """The names that the test makes and that a piece of code uses."""
        local = stored(self.function) if self.function else set()
        return (loaded(node) - stored(node)) & {"__file__", *local, *self._definitions()}

    def _definitions(self) -> dict[str, ast.stmt]:
        """What the test's module defines itself, and its function."""
        local = stored(self.function) if self.function else set()
        outer = {
            name: statement
            for statement in self.module.body
            for name in bound(statement) - imported(statement) - local
        }
        return outer | {name: s for s in self._nested() for name in bound(s)}

    def _nested(self) -> list[ast.stmt]:
        """The functions and classes that the test's function defines, each name once."""
        names = Counter(name for statement in self.before for name in bound(statement))
        return [
            s
            for s in self.before
            if isinstance(s, FUNCTIONS | ast.ClassDef) and names[s.name] == 1 and not leaves(s)
        ]

    def _setup(self, node: ast.expr) -> tuple[str, set[str]]:
        """The statements that make the names of an expression, and the names that none makes."""
        filler = _Filler(self, only_short=True)
        needed, held = self._unknown(node), self._definitions().keys()
        made: set[str] = set()
        steps: list[str] = []
        for statement in reversed(self.before):
            if (
                not _is_step(statement)
                or not (loaded(statement) | bound(statement)) & needed - held
            ):
                continue
            if checks(statement) and not _catches(statement, needed):
                continue
            made |= bound(statement)
            needed -= freshly_bound(statement)
            statement = filler.visit(copy.deepcopy(statement))
            needed |= self._unknown(statement)
            steps.insert(0, ast.unparse(statement))
        left = needed - made
        defined, lacking = self._defined(left & held)
        lines = [line for step in (*defined, *steps) for line in step.splitlines()]
        text = "\n".join(lines)
        if len(lines) > SETUP_LINES or len(text) > SETUP_CHARACTERS:
            return "", needed | made
        return text, lacking | (left - held)

    def _defined(self, names: set[str]) -> tuple[list[str], set[str]]:
        """The definitions that make names of the module, with those they need; names without."""
        held, missing = self._definitions(), set[str]()
        local = stored(self.function) if self.function else set()
        wanted: set[str] = set()
        todo = sorted(names)
        while todo:
            name = todo.pop()
            if name not in held:
                missing.add(name)
            if name in wanted | missing:
                continue
            wanted.add(name)
            statement = held[name]
            if checks(statement) or _is_fixture(statement):
                missing.add(name)
            used = loaded(statement) - (stored(statement) - {name})
            missing |= used & (local - held.keys())
            todo += sorted(used & {"__file__", *held} - wanted)
        places = (*self.module.body, *self._nested())
        chosen = [s for s in places if any(held[name] is s for name in wanted - missing)]
        return [ast.unparse(statement) for statement in chosen], missing


def read_scene(source: bytes, line: int, test_id: str) -> Scene | None:
    """The scene at a line (from 1) of a test file; None when there is none to read."""
    try:
        module = _parsed(source)
        scene = _descend(Scene(module, ast.Pass()), module.body, line)
        if scene is None or scene.function is None:
            return scene
        return replace(scene, values=parameters(module, scene.classes, scene.function, test_id))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=16)
def _parsed(source: bytes) -> ast.Module:
    return ast.parse(source)


def _descend(scene: Scene, block: Sequence[ast.stmt], line: int) -> Scene | None:
    for number, statement in enumerate(block):
        if not statement.lineno <= line <= (statement.end_lineno or statement.lineno):
            continue
        before = (*scene.before, *block[:number])
        here = replace(scene, statement=statement, before=before)
        inner = here
        if isinstance(statement, FUNCTIONS):
            inner = replace(here, function=statement, before=(), loops=())
        elif isinstance(statement, ast.ClassDef):
            inner = replace(here, classes=(*scene.classes, statement), before=())
        elif isinstance(statement, ast.For):
            inner = replace(here, loops=(*scene.loops, statement))
        deeper = (
            _descend(replace(inner, before=(*inner.before, *ran)), part, line)
            for part, ran in _blocks(statement)
        )
        return next((found for found in deeper if found is not None), here)
    return None


def _blocks(statement: ast.stmt) -> Iterator[tuple[list[ast.stmt], list[ast.stmt]]]:
    """The blocks of a statement, each with what of the statement ran before it."""
    for name, value in ast.iter_fields(statement):
        if not isinstance(value, list):
            continue
        if value and isinstance(value[0], ast.stmt):
            ran = statement.body if isinstance(statement, ast.Try) and name != "body" else []
            yield value, ran
        for part in value:
            if isinstance(part, ast.ExceptHandler) and isinstance(statement, ast.Try):
                yield part.body, [_caught(statement, part)]
            elif isinstance(part, ast.match_case):
                yield part.body, []


def _caught(statement: ast.Try, handler: ast.ExceptHandler) -> ast.stmt:
    """A `try` up to where its handler begins."""
    body = [part for part in statement.body if not checks(part)] or [ast.Pass()]
    nothing: list[ast.stmt] = [ast.Pass()]
    caught = ast.ExceptHandler(handler.type, handler.name, nothing)
    return ast.copy_location(ast.Try(body, [caught], [], []), statement)


def _is_fixture(statement: ast.stmt) -> bool:
    marks: list[ast.expr] = getattr(statement, "decorator_list", [])
    functions = (mark.func if isinstance(mark, ast.Call) else mark for mark in marks)
    return any(last_name(function) == "fixture" for function in functions)


def _is_step(statement: ast.stmt) -> bool:
    return not isinstance(statement, FUNCTIONS | ast.ClassDef) and not leaves(statement)


def _catches(statement: ast.stmt, needed: set[str]) -> bool:
    """Whether a `with` binds a needed name, as `with raises(…) as e` does."""
    if not isinstance(statement, ast.With):
        return False
    return any(
        item.optional_vars is not None and stored(item.optional_vars) & needed
        for item in statement.items
    )


class _Filler(ast.NodeTransformer):
    """Replaces names by the expressions that they stand for, where that changes no meaning.

    `only_short`: of the variables only those that hold a short constant.
    """

    def __init__(self, scene: Scene, only_short: bool = False) -> None:
        self.scene = scene
        self.only_short = only_short
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

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Take an element of a literal sequence."""
        self.generic_visit(node)
        match node:
            case ast.Subscript(
                value=ast.Tuple(elts=found) | ast.List(elts=found),
                slice=ast.Constant(value=int(number)),
                ctx=ast.Load(),
            ) if 0 <= number < len(found) and not any(isinstance(e, ast.Starred) for e in found):
                return found[number]
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Write out starred arguments that are literals."""
        self.generic_visit(node)
        arguments: list[ast.expr] = []
        for given in node.args:
            match given:
                case ast.Starred(value=ast.Tuple() | ast.List() as spread):
                    arguments += elements(spread)
                case _:
                    arguments.append(given)
        keywords: list[ast.keyword] = []
        for keyword in node.keywords:
            match keyword:
                case ast.keyword(arg=None, value=ast.Dict(keys=keys, values=values)) if all(
                    isinstance(k, ast.Constant) and str(k.value).isidentifier() for k in keys
                ):
                    named = (str(k.value) for k in keys if isinstance(k, ast.Constant))
                    keywords += map(ast.keyword, named, values)
                case _:
                    keywords.append(keyword)
        node.args, node.keywords = arguments, keywords
        return node

    def value(self, name: str) -> ast.expr | None:
        """What a name stands for, if that is known."""
        scene = self.scene
        if name in scene.values:
            return scene.values[name]
        if scene.function is not None and name in stored(scene.function):
            found = self.variable(name, scene.function)
            short = isinstance(found, ast.Constant) and len(ast.unparse(found)) <= LONG // 2
            return found if short or not self.only_short else None
        found = assigned(name, scene.module.body)
        if found is None or len(ast.unparse(found)) > LONG // 2 or not _is_plain(found):
            return None
        return found

    def variable(self, name: str, function: FUNCTIONS) -> ast.expr | None:
        """What a variable was given, if once only and nothing can have changed it since."""
        value = assigned(name, self.scene.before)
        if value is None or times_stored(name, function) != 1:
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


def _is_plain(node: ast.expr) -> bool:
    """Whether an expression is made of constants only, with the builtins that make more of them."""
    return loaded(node) - stored(node) <= _PLAIN
