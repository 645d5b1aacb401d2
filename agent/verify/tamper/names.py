"""What names in a file stand for: imports, aliases, getattr and other ways round."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

_IMPORTERS = frozenset({"__import__", "importlib.import_module", "importlib.__import__"})
_MODULES = frozenset({"sys.modules"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def parse(source: bytes) -> ast.Module:
    """The tree of a file. Raises one of UNPARSABLE."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


class Names:
    """The names of one file. Neither order nor scope is looked at, parameters aside.

    What a file imports counts for more than what it assigns to the same name.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.nodes = list(ast.walk(tree))
        self.known: dict[str, str] = {}
        self.local = {name for node in self.nodes for name in _bound(node)}
        self.docstrings = {id(node) for node in _docstrings(self.nodes)}
        for node in self.nodes:
            for alias, name in _imported(node):
                self.known[alias] = name
        self.local -= self.known.keys()
        self.hidden = {id(name) for node in self.nodes for name in _hidden(node)}
        for node in self.nodes:
            if isinstance(node, ast.Assign) and (name := self.of(node.value)):
                aliases = [t.id for t in node.targets if isinstance(t, ast.Name)]
                self.known.update(dict.fromkeys(aliases, name))
                self.local.difference_update(aliases)

    def of(self, node: ast.AST) -> str:
        """The dotted name that an expression stands for, '' when it is unknown.

        Names that the file binds itself, parameters for instance, are unknown.
        """
        if isinstance(node, ast.Name):
            unknown = node.id in self.local or id(node) in self.hidden
            return "" if unknown else self.known.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return self._part(node.value, node.attr)
        if isinstance(node, ast.Subscript):
            return self._item(node)
        if isinstance(node, ast.Call):
            return self._result(node)
        if isinstance(node, ast.NamedExpr):
            return self.of(node.value)
        return ""

    def _part(self, owner: ast.AST, name: str | None) -> str:
        if name == "__dict__":
            return self.of(owner)
        base = self.of(owner)
        return f"{base}.{name}" if base and name else ""

    def _item(self, node: ast.Subscript) -> str:
        key = text(node.slice)
        if key is None:
            return ""
        if self.of(node.value) in _MODULES:
            return key
        inside = isinstance(node.value, ast.Attribute) and node.value.attr == "__dict__"
        inside = inside or (isinstance(node.value, ast.Call) and self.of(node.value.func) == "vars")
        if self.of(node.value) == "__builtins__" or inside:
            return self._part(node.value, key)
        return ""

    def _result(self, node: ast.Call) -> str:
        called, args = self.of(node.func), node.args
        if called == "getattr" and len(args) > 1:
            return self._part(args[0], text(args[1]))
        if called == "vars" and args:
            return self.of(args[0])
        if called in _IMPORTERS and args:
            return text(args[0]) or ""
        if called == "sys.modules.get" and args:
            return text(args[0]) or ""
        return ""


def text(node: ast.AST | None) -> str | None:
    """The string that an expression of constants makes, None for any other."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text(node.left), text(node.right)
        return None if left is None or right is None else left + right
    if isinstance(node, ast.JoinedStr):
        parts = [text(v.value if isinstance(v, ast.FormattedValue) else v) for v in node.values]
        return None if None in parts else "".join(p for p in parts if p is not None)
    if isinstance(node, ast.Call) and len(node.args) == 1:
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr == "join":
            return _joined(text(function.value), node.args[0])
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        return _reversed(node.value, node.slice)
    return None


def _joined(separator: str | None, parts: ast.expr) -> str | None:
    if separator is None or not isinstance(parts, (ast.List, ast.Tuple)):
        return None
    texts = [text(part) for part in parts.elts]
    return None if None in texts else separator.join(t for t in texts if t is not None)


def _reversed(node: ast.expr, by: ast.Slice) -> str | None:
    value = text(node)
    back = isinstance(by.step, ast.UnaryOp) and ast.unparse(by) == "::-1"
    return value[::-1] if value is not None and back else None


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that an import binds, and what they stand for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            module = "." * node.level + (node.module or "")
            yield alias.asname or alias.name, f"{module}.{alias.name}"


def _bound(node: ast.AST) -> Iterator[str]:
    """Names that are the file's own."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name


def _hidden(node: ast.AST) -> Iterator[ast.Name]:
    """In a function, the uses of its parameters; those with a default may be what that is."""
    if isinstance(node, _FUNCTIONS):
        args = node.args
        plain = [*args.posonlyargs, *args.args]
        plain = plain[: len(plain) - len(args.defaults)]
        plain += [a for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is None]
        names = {arg.arg for arg in [*plain, args.vararg, args.kwarg] if arg}
        body = node.body if isinstance(node.body, list) else [node.body]
        for inner in (inner for part in body for inner in ast.walk(part)):
            if isinstance(inner, ast.Name) and inner.id in names:
                yield inner


def _docstrings(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
