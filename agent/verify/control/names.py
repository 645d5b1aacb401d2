"""Names in a test file: what they were imported as, and new ones that nobody notices."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Role = Literal["other", "others", "Unlike", "error", "warning"]
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

_VERBS = ("make", "load", "build", "read", "find", "pick", "sort", "join", "open", "copy")
_NOUNS = ("item", "case", "entry", "record", "sample", "field", "table", "source", "row", "page")
_INSIDE = Path(__file__).with_name("inside.py")


def own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below a node, without the insides of functions and classes within it."""
    todo = [node]
    while todo:
        one = todo.pop()
        yield one
        if one is node or not isinstance(one, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(one))


def is_generator(function: Function) -> bool:
    """Whether a call of it runs nothing."""
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own(function))


class Names:
    """The names of one file. New ones depend on the seed, and are kept by their role."""

    def __init__(self, tree: ast.Module, seed: int) -> None:
        nodes = list(ast.walk(tree))
        self.tree = tree
        self.defined = [n.name for n in nodes if isinstance(n, (*FUNCTIONS, ast.ClassDef))]
        self.bound = {n.id for n in nodes if isinstance(n, ast.Name) and _is_bound(n)}
        self.imported: dict[str, str] = {}
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.split(".")[0]
                    self.imported[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    origin = f"{node.module or ''}.{alias.name}"
                    self.imported[alias.asname or alias.name] = origin
        self._taken = ast.unparse(tree)
        self._random = random.Random(f"names {seed}")  # noqa: S311
        self._given: dict[Role, str] = {}
        self.far = self._random.randint(7, 40), self._random.randint(1_000, 90_000)
        self.near = 1, self._random.randint(1, 2)

    def dotted(self, node: ast.AST) -> str:
        """Where a name or an attribute comes from (`pytest.raises`); empty for anything else."""
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        if isinstance(node, ast.Name):
            if node.id in self.bound or node.id in self.defined:
                return node.id
            return self.imported.get(node.id, node.id)
        return ""

    def fresh(self, suffix: str = "") -> str:
        """A new name."""
        for _ in range(10_000):
            words = [self._random.choice(_VERBS), self._random.choice(_NOUNS)]
            if suffix:
                name = "_" + "".join(word.title() for word in words) + suffix
            else:
                name = "_" + "_".join(words) + self._random.choice(("", "s", "_by", "_of", "_in"))
            if not re.search(rf"\b{name}\b", self._taken):
                self._taken += f" {name}"
                return name
        raise ValueError("no free name is left")

    def of(self, role: Role) -> str:
        """The name of an injected definition, which is injected because it was asked for."""
        if role not in self._given:
            suffix = {"error": "Error", "warning": "Warning", "Unlike": "Base"}.get(role, "")
            self._given[role] = self.fresh(suffix)
        return self._given[role]

    def definitions(self) -> list[ast.stmt]:
        """The definitions of all names that were asked for."""
        made: list[ast.stmt] = []
        bases: tuple[tuple[Role, str], ...] = (("error", "Exception"), ("warning", "Warning"))
        for role, base in bases:
            if role in self._given:
                made += ast.parse(f"class {self._given[role]}({base}):\n    pass").body
        if "other" in self._given:
            tree = ast.parse(_INSIDE.read_text(encoding="utf-8"))
            kept = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
            made += [_Renamed(self).visit(node) for node in kept]
        return made


class _Renamed(ast.NodeTransformer):
    """A definition of `inside` under other names, without docstring and annotations."""

    def __init__(self, names: Names) -> None:
        self.map = {role: names.of(role) for role in ("other", "others", "Unlike")}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.map.get(node.id, node.id), node.ctx)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.name, node.body = self.map[node.name], node.body[1:]
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if node.name in self.map:
            node.name, node.body = self.map[node.name], node.body[1:]
        for argument in node.args.args:
            argument.annotation = None
        node.returns = None
        self.generic_visit(node)
        return node


def _is_bound(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)
