"""Expected values and truths of assertions, changed in the source."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from typing import Any

from agent.verify.control.inside import other
from agent.verify.control.names import Function, Names

_HARD = (int, float, complex, str, bytes)
_ANY = re.compile(r"(?:.*\.)?(?:ANY|Any\w*|Whatever|whatever|_)")
_MATCHER = re.compile(r"(Is|Has|Contains|Match|Matches|Partial|Like|Regex|Approx)[A-Z]?")
_EXPECTED = re.compile(r"(?i)_*(exp|expect|want|should|correct|answer|desired|reference|gold)")
_SPIES = frozenset({"locals", "vars", "eval", "exec", "globals", "dir"})


class Values:
    """Changes what one test expects."""

    def __init__(self, names: Names, choice: random.Random) -> None:
        self.names = names
        self.choice = choice
        self.amount = names.near

    def comparable(self, *sides: ast.expr) -> bool:
        """Whether no side is a mere truth, and nothing in them is known to equal everything."""
        if any(isinstance(s, ast.Constant) and isinstance(s.value, bool) for s in sides):
            return False
        nodes = [node for side in sides for node in ast.walk(side)]
        found = [self.names.dotted(n) for n in nodes if isinstance(n, (ast.Name, ast.Attribute))]
        called = [self.names.dotted(side.func) for side in sides if isinstance(side, ast.Call)]
        if any(_MATCHER.match(name.rpartition(".")[2]) for name in called):
            return False
        return not any(_ANY.fullmatch(name) for name in found)

    def has_equality(self, truth: ast.expr) -> bool:
        """Whether an asserted expression compares with a value, alone or in a conjunction."""
        if isinstance(truth, ast.BoolOp) and isinstance(truth.op, ast.And):
            return any(self.has_equality(part) for part in truth.values)
        return (
            isinstance(truth, ast.Compare)
            and len(truth.ops) == 1
            and isinstance(truth.ops[0], ast.Eq)
            and self.comparable(truth.left, *truth.comparators)
        )

    def untrue(self, truth: ast.expr, function: Function) -> ast.expr:
        """An expression that evaluates `truth`, and is false: where it can, by a comparison.

        A mere truth is false whatever it says: tests that failed before may have left a state
        in which the opposite truth would hold.
        """
        if isinstance(truth, ast.BoolOp) and self.has_equality(truth):
            at = [i for i, part in enumerate(truth.values) if self.has_equality(part)]
            chosen = self.choice.choice(at)
            truth.values[chosen] = self.untrue(truth.values[chosen], function)
            return truth
        if isinstance(truth, ast.Compare) and self.has_equality(truth):
            pair = self.unequal(truth.left, truth.comparators[0], function)
            truth.left, truth.comparators = pair[0], [pair[1]]
            return truth
        always = ast.BoolOp(ast.Or(), [truth, ast.Constant(True)])
        return ast.UnaryOp(ast.Not(), always)

    def unequal(
        self, first: ast.expr, second: ast.expr, function: Function
    ) -> tuple[ast.expr, ast.expr]:
        """Both sides of an equality with the expected one changed: little, so that nothing which
        equals all that is close can pass; far beyond a tolerance where it has one.
        """
        tolerant = self._is_approx(first) or self._is_approx(second)
        self.amount = self.names.far if tolerant else self.names.near
        if self._rank(first) > self._rank(second):
            return self._expected(first, function), self._lax(second)
        return self._lax(first), self._expected(second, function)

    def _is_approx(self, node: ast.expr) -> bool:
        return (
            isinstance(node, ast.Call)
            and self.names.dotted(node.func) == "pytest.approx"
            and bool(node.args)
            and not isinstance(node.args[0], ast.Starred)
        )

    def _lax(self, node: ast.expr) -> ast.expr:
        """An actual value without a tolerance of its own."""
        if isinstance(node, ast.Call) and self._is_approx(node):
            return ast.Call(node.func, node.args[:1], [])
        return node

    def _rank(self, node: ast.expr) -> int:
        """How much a side looks like what is expected."""
        if isinstance(node, ast.Call) and self._is_approx(node):
            return max(3, self._rank(node.args[0]))
        try:
            ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            pass
        else:
            return 4
        if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.JoinedStr)):
            return 2
        return int(isinstance(node, ast.Name) and bool(_EXPECTED.match(node.id)))

    def _expected(self, node: ast.expr, function: Function) -> ast.expr:
        if isinstance(node, ast.Name) and self._rebind(node.id, function):
            return node
        if isinstance(node, ast.Call) and self._is_approx(node):
            return ast.Call(node.func, [self._expected(node.args[0], function)], [])
        return self.changed(node)

    def changed(self, node: ast.expr) -> ast.expr:
        """An expression for a value that differs from that of `node`."""
        if isinstance(node, ast.Call) and self._is_approx(node):
            return ast.Call(node.func, [self.changed(node.args[0])], [])
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            return ast.Constant(not node.value)
        if _is_hard(node):
            return self._literal(node)
        amount: list[ast.expr] = [ast.Constant(number) for number in self.amount]
        return ast.Call(ast.Name(self.names.of("other"), ast.Load()), [node, *amount], [])

    def _literal(self, node: ast.expr) -> ast.expr:
        """A literal with its numbers and texts changed."""
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            before = Counter(map(ast.dump, node.elts))
            node.elts = [self._literal(e) if _is_hard(e) else e for e in node.elts]
            if Counter(map(ast.dump, node.elts)) == before:
                node.elts.append(ast.Constant(self.names.far[1]))
            return node
        if isinstance(node, ast.Dict):
            start = _last_unpacked(node) + 1
            node.values[start:] = [
                self._literal(v) if _is_hard(v) else v for v in node.values[start:]
            ]
            return node
        value: Any = ast.literal_eval(node)
        return ast.Constant(other(value, *self.amount))

    def _rebind(self, name: str, function: Function) -> bool:
        """Change a local where it gets its value, so that a frame never holds the right one.

        Only where nothing but the assertion reads it.
        """
        nodes = list(ast.walk(function))
        uses = [n for n in nodes if isinstance(n, ast.Name) and n.id == name]
        reads = [n for n in uses if isinstance(n.ctx, ast.Load)]
        if len(reads) != 1 or any(isinstance(n, ast.Name) and n.id in _SPIES for n in nodes):
            return False
        if any(isinstance(n, (ast.Global, ast.Nonlocal)) and name in n.names for n in nodes):
            return False
        if any(isinstance(n, ast.ClassDef) for n in nodes):
            return False
        given = [n for n in nodes if _gives(n, name)]
        loops = [n for n in nodes if isinstance(n, ast.For) and name in _targets(n.target)]
        every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        is_argument = name in [argument.arg for argument in every]
        if len(given) + len(loops) != len(uses) - 1 or not (given or loops or is_argument):
            return False
        for node in given:
            assert isinstance(node, (ast.Assign, ast.AnnAssign))
            assert node.value is not None
            node.value = self.changed(node.value)
        for loop in loops:
            loop.body.insert(0, self._renewed(name))
        if is_argument:
            function.body.insert(int(ast.get_docstring(function) is not None), self._renewed(name))
        return True

    def _renewed(self, name: str) -> ast.stmt:
        value = self.changed(ast.Name(name, ast.Load()))
        return ast.Assign([ast.Name(name, ast.Store())], value, lineno=1)


def _gives(node: ast.AST, name: str) -> bool:
    """Whether it is `name = value`, and no more."""
    if isinstance(node, ast.Assign):
        target = node.targets[0]
        return len(node.targets) == 1 and isinstance(target, ast.Name) and target.id == name
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return isinstance(node.target, ast.Name) and node.target.id == name
    return False


def _targets(target: ast.expr) -> list[str]:
    """The names of a loop's target, when it is a name or a flat tuple of names."""
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    return [part.id for part in parts if isinstance(part, ast.Name)]


def _is_hard(node: ast.expr) -> bool:
    """Whether it is a number or a text, or a display that has one."""
    if isinstance(node, ast.Constant):
        return type(node.value) in _HARD
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        operand = node.operand
        return isinstance(operand, ast.Constant) and type(operand.value) in (int, float, complex)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return any(_is_hard(element) for element in node.elts)
    if isinstance(node, ast.Dict):
        return any(_is_hard(value) for value in node.values[_last_unpacked(node) + 1 :])
    return False


def _last_unpacked(node: ast.Dict) -> int:
    return max((i for i, key in enumerate(node.keys) if key is None), default=-1)
