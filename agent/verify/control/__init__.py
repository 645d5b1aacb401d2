"""The control of a test file: the same tests, which honest code must fail.

In each test one assertion, drawn by the seed, expects something else: another value, an exception
that nobody raises, or a truth that does not hold. Until there the control does what the test
does, so honest code fails; a test that passes both does not depend on what the code returns.
What is changed lies before the assertion where it can: a literal in the source, a local where it
gets its value, so that a frame or the file shows nothing but the changed value.

Only one is changed, because code that lies at one assertion and is honest at the others would
otherwise fail the control at the honest ones, and because two changes could cancel out.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.verify.control.finding import spoiled_tests
from agent.verify.control.names import Names


@dataclass(frozen=True)
class Control:
    """A changed test file. `certain` names the tests that honest code is certain to fail.

    They are named as pytest does below the file and without parameters: `test_x`,
    `TestA::test_b`.
    """

    source: bytes
    certain: frozenset[str]


def control_of(source: bytes, seed: int, only: Collection[str] | None = None) -> Control | None:
    """The control of a test file; None when it cannot be parsed, or no test of it is certain.

    With `only`, no other tests are changed; they are named as in `Control.certain`. The same seed
    makes the same control; take a new one for every verdict.
    """
    try:
        tree = ast.parse(source)
        names = Names(tree, seed)
        certain = spoiled_tests(tree, names, seed, only)
        if not certain:
            return None
        head = _head(tree)
        tree.body[head:head] = names.definitions()
        text = ast.unparse(ast.fix_missing_locations(tree))
        changed = text.encode()
        compile(changed, "control", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return Control(changed, certain)


def certain_ids(control: Control, path: str, ids: Iterable[str]) -> tuple[str, ...]:
    """Those of pytest's `ids` that stand for certain tests of the file at `path`.

    Inherited tests are none, and neither are doctests.
    """
    own = _names(path, ids)
    doctested = PurePosixPath(path).stem if b">>>" in control.source else ""
    return tuple(i for i, name in own.items() if name in control.certain and name != doctested)


def names_of(path: str, ids: Iterable[str]) -> frozenset[str]:
    """The names, as in `Control.certain`, of those of pytest's `ids` that are in the file."""
    return frozenset(_names(path, ids).values())


def _names(path: str, ids: Iterable[str]) -> dict[str, str]:
    start = f"{path}::"
    return {i: i[len(start) :].split("[", 1)[0] for i in ids if i.startswith(start)}


def _head(tree: ast.Module) -> int:
    """How many statements must stay in front: the docstring and imports of the future."""
    count = int(ast.get_docstring(tree, clean=False) is not None)
    while count < len(tree.body):
        statement = tree.body[count]
        if not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
            break
        count += 1
    return count
