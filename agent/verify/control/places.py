"""Assertions of a test that run whenever the test passes, and how each is made to fail."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.verify.control.loops import is_filled, unbroken
from agent.verify.control.names import FUNCTIONS, Function, own
from agent.verify.control.values import Values

_LEAVING = re.compile(r"(?i)_*(skip\w*|xfail|importorskip|exit|abort|succeed)")
_SWALLOWS = re.compile(
    r"(?i)suppress|ignor|swallow|silen|catch(?!_warnings)|rais|expect|except|attempt|retr|fail"
    r"|error|throw|skip|guard|tolera|should|rescue|handle"
)
_UNTOUCHED = re.compile(r"(?i)KeyboardInterrupt|BaseException|GeneratorExit|\bExit|skip|fail")
_EQUAL = frozenset(
    f"assert{kind}"
    for kind in (
        "Equal", "Equals", "AlmostEqual", "ListEqual", "TupleEqual", "SetEqual", "DictEqual",
        "SequenceEqual", "MultiLineEqual", "CountEqual",
    )
)  # fmt: skip
_TRUTHS = frozenset(
    f"assert{kind}"
    for kind in (
        "True", "False", "Is", "IsNot", "IsNone", "IsNotNone", "In", "NotIn", "IsInstance",
        "NotIsInstance", "Regex", "NotRegex", "Greater", "GreaterEqual", "Less", "LessEqual",
        "NotEqual", "NotEquals", "NotAlmostEqual",
    )
)  # fmt: skip
_RAISES = {"pytest.raises": "error", "pytest.warns": "warning", "pytest.deprecated_call": "warning"}
_CASE_RAISES = {
    "assertRaises": "error", "assertRaisesRegex": "error",
    "assertWarns": "warning", "assertWarnsRegex": "warning",
}  # fmt: skip
_IMPORTED = ("assert_equal", "assert_equals", "eq_")
_CASES = ("self", "case", "testcase", "test_case", "tc")
_DEEPEST = 3


@dataclass(frozen=True)
class Place:
    """An assertion. `strong` when a value or an exception decides, not a truth."""

    strong: bool
    change: Callable[[], None]


@dataclass(frozen=True)
class Helper:
    """A function of the file that is no test, and the block that holds it."""

    function: Function
    block: list[ast.stmt]


@dataclass(frozen=True)
class Places:
    """Finds the places of one test, and of the helpers that it calls."""

    values: Values
    helpers: Mapping[str, Helper]
    methods: Mapping[str, Helper]
    depth: int = 0

    def spoil(self, function: Function) -> bool:
        """Change one assertion so that the test fails for certain; False where none is certain."""
        found = list(self.of_body(function.body, function))
        best = [place for place in found if place.strong] or found
        if best:
            self.values.choice.choice(best).change()
        return bool(best)

    def end(self, function: Function) -> bool:
        """Let a test fail at its end, where every test that passes gets to."""
        if any(leaves(node) or _is_endless(node) for node in function.body):
            return False
        error = ast.Name("AssertionError", ast.Load())
        function.body.append(ast.Raise(error, None))
        return True

    def of_body(self, body: Sequence[ast.stmt], function: Function) -> Iterator[Place]:
        """The places in statements that run one after the other, up to one that may leave."""
        for statement in body:
            if _left_by_call(statement):
                return
            yield from self._of(statement, function)
            if leaves(statement):
                return

    def _of(self, statement: ast.stmt, function: Function) -> Iterator[Place]:
        if isinstance(statement, ast.Assert):
            yield self._of_assert(statement, function)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            yield from self._of_with(statement, function)
        elif isinstance(statement, ast.For) and is_filled(
            statement.iter, function, self.values.names.tree
        ):
            yield from self.of_body(unbroken(statement.body), function)
        elif isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign)):
            call = statement.value
            if isinstance(call, ast.Call):
                yield from self._of_raising(call, calls=True)
                if isinstance(statement, ast.Expr):
                    yield from self._of_case(call, function)
                    yield from self._of_helper(call, function)

    def _of_assert(self, statement: ast.Assert, function: Function) -> Place:
        def change() -> None:
            statement.test = self.values.untrue(statement.test, function)
            statement.msg = None

        return Place(self.values.has_equality(statement.test), change)

    def _of_with(self, block: ast.With | ast.AsyncWith, function: Function) -> Iterator[Place]:
        clear = True
        for item in block.items:
            call = item.context_expr
            if not isinstance(call, ast.Call):
                return
            if clear:
                yield from self._of_raising(call, calls=False)
            clear = clear and self._lets_through(call)
        if clear:
            yield from self.of_body(block.body, function)

    def _lets_through(self, call: ast.Call) -> bool:
        """Whether a context manager is not known, and does not look, to swallow exceptions."""
        name = self.values.names.dotted(call.func)
        if name in ("pytest.warns", "pytest.deprecated_call"):
            return True
        parts = name.split(".")
        return (
            bool(name) and parts[-1] not in self.values.names.defined and not _SWALLOWS.search(name)
        )

    def _of_raising(self, call: ast.Call, *, calls: bool) -> Iterator[Place]:
        """`pytest.raises` and its like, which are context managers or call something."""
        name = self.values.names.dotted(call.func)
        attribute = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        case = self._is_case(call) and attribute in _CASE_RAISES
        role = _CASE_RAISES[attribute] if case else _RAISES.get(name)
        given = 2 if case and attribute.endswith("Regex") else 1
        bare = name == "pytest.deprecated_call"
        if role is None or (bare and not isinstance(call.func, ast.Attribute)):
            return
        starred = any(isinstance(argument, ast.Starred) for argument in call.args[:given])
        if starred or calls != (len(call.args) > (0 if bare else given)):
            return
        expected = [*call.args[:given], *(k.value for k in call.keywords)]
        if any(_UNTOUCHED.search(ast.unparse(node)) for node in expected[:1]):
            return

        def change() -> None:
            fresh = ast.Name(
                self.values.names.of("error" if role == "error" else "warning"), ast.Load()
            )
            any_text: list[ast.expr] = [ast.Constant("")] if given == 2 else []
            call.args = [fresh, *any_text, *call.args[0 if bare else given :]]
            if bare and isinstance(call.func, ast.Attribute):
                call.func.attr = "warns"
            if not calls:
                call.keywords = []

        yield Place(True, change)

    def _is_case(self, call: ast.Call) -> bool:
        """Whether it is a call of a method of unittest's that the file does not redefine."""
        target = call.func
        return (
            isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Name)
            and target.value.id in _CASES
            and target.attr not in self.values.names.defined
        )

    def _of_case(self, call: ast.Call, function: Function) -> Iterator[Place]:
        """unittest's assertions."""
        target = call.func
        if not isinstance(target, ast.Attribute) or not self._is_case(call):
            return
        kind, plain = target.attr, call.args
        if any(isinstance(argument, ast.Starred) for argument in plain):
            return
        two = len(plain) >= 2
        truth = plain[0] if kind == "assertTrue" and plain else None
        if truth is not None and self.values.has_equality(truth):
            yield Place(True, lambda: self._set(call, kind, self.values.untrue(truth, function)))
        elif kind in _EQUAL and two and self.values.comparable(*plain[:2]):
            yield Place(
                True,
                lambda: self._set(call, kind, *self.values.unequal(plain[0], plain[1], function)),
            )
        elif kind in _TRUTHS | _EQUAL and plain:
            yield Place(False, lambda: self._set_untrue(call, kind))

    def _set_untrue(self, call: ast.Call, kind: str) -> None:
        """The same method where it can be given what it must refuse, else another."""
        first, last = call.args[0], call.args[min(1, len(call.args) - 1)]
        none, true = ast.Constant(None), ast.Constant(True)
        if kind == "assertTrue":
            self._set(call, kind, ast.BoolOp(ast.And(), [first, none]))
        elif kind == "assertFalse":
            self._set(call, kind, ast.BoolOp(ast.Or(), [first, true]))
        elif kind == "assertIs":
            self._set(call, kind, first, ast.List([last], ast.Load()))
        elif kind == "assertIsNone":
            self._set(call, kind, ast.List([first], ast.Load()))
        elif kind == "assertIn":
            nothing = ast.BoolOp(ast.And(), [last, ast.Tuple([], ast.Load())])
            self._set(call, kind, first, nothing)
        elif kind == "assertIsInstance":
            self._set(call, kind, first, ast.Name(self.values.names.of("error"), ast.Load()))
        elif kind == "assertRegex":
            self._set(call, kind, first, ast.Constant("(?!)"))
        else:
            self._set(call, "assertFalse", ast.Tuple([first, last], ast.Load()))

    def _set(self, call: ast.Call, method: str, *arguments: ast.expr) -> None:
        assert isinstance(call.func, ast.Attribute)
        call.func.attr = method
        call.args, call.keywords = list(arguments), []

    def _of_helper(self, call: ast.Call, function: Function) -> Iterator[Place]:
        """A call of a function of the file that asserts: of a changed copy of it."""
        target = call.func
        found = None
        if isinstance(target, ast.Name):
            found = self.helpers.get(target.id)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            found = self.methods.get(target.attr) if target.value.id == "self" else None
        if found is None:
            yield from self._of_imported(call, function)
            return
        if self.depth >= _DEEPEST:
            return
        changed = copy.deepcopy(found.function)
        inner = Places(self.values, self.helpers, self.methods, self.depth + 1)
        places = list(inner.of_body(changed.body, changed))

        def change() -> None:
            inner.spoil(changed)
            changed.name = self.values.names.fresh()
            found.block.insert(found.block.index(found.function) + 1, changed)
            if isinstance(target, ast.Name):
                target.id = changed.name
            elif isinstance(target, ast.Attribute):
                target.attr = changed.name

        if places:
            yield Place(any(place.strong for place in places), change)

    def _of_imported(self, call: ast.Call, function: Function) -> Iterator[Place]:
        """A call of an imported function that asserts an equality by its name."""
        name = self.values.names.dotted(call.func)
        plain = call.args[:2]
        starred = any(isinstance(argument, ast.Starred) for argument in plain)
        if "." not in name or name.rpartition(".")[2] not in _IMPORTED:
            return
        if name.startswith(("self.", "numpy.")):
            return
        if len(plain) == 2 and not starred and self.values.comparable(*plain):

            def change() -> None:
                call.args[:2] = self.values.unequal(plain[0], plain[1], function)

            yield Place(True, change)


def leaves(node: ast.AST) -> bool:
    """Whether it may end the test before its end without a failure."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return False
    return _left_by_call(node) or any(isinstance(n, ast.Return) for n in own(node))


def _left_by_call(node: ast.AST) -> bool:
    """Whether it calls something that skips, or raises what does."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return False
    for one in own(node):
        if isinstance(one, ast.Call):
            name = one.func
            last = name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")
            if _LEAVING.fullmatch(last):
                return True
        if isinstance(one, ast.Raise) and one.exc and _UNTOUCHED.search(ast.unparse(one.exc)):
            return True
    return False


def _is_endless(node: ast.AST) -> bool:
    return any(
        isinstance(one, ast.While) and isinstance(one.test, ast.Constant) for one in own(node)
    )
