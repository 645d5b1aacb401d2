"""The code that no mutation may touch."""

from __future__ import annotations

import libcst as cst

from agent.tasks.mutate.context import TEXT, Context, callee, sides

_LOGGING = frozenset(
    (
        "basicConfig",
        "critical",
        "debug",
        "error",
        "exception",
        "info",
        "log",
        "warn",
        "warn_explicit",
        "warning",
    )
)
_TYPING = frozenset(
    ("NamedTuple", "NewType", "ParamSpec", "TypeVar", "TypeVarTuple", "TypedDict", "cast")
)
_OVERLOAD = frozenset(("overload", "no_type_check"))
_SILENT = (cst.Import, cst.ImportFrom, cst.Global, cst.Nonlocal, cst.TypeAlias, cst.Pass)


def is_frozen(node: cst.CSTNode, context: Context) -> bool:
    """Whether the node is left alone with all that it holds.

    Imports, docstrings and other strings that stand alone, `__slots__`, `__all__` and other names
    of the module like it, logging, typing constructs, overloads, blocks for type checkers and for
    scripts, and the texts of messages. Annotations and decorators are never visited.
    """
    match node:
        case cst.Expr(value=cst.Ellipsis()):
            return True
        case cst.Expr(value=value):
            return isinstance(value, TEXT) or is_frozen(value, context)
        case cst.Assign() | cst.AnnAssign() | cst.AugAssign():
            return _is_declaration(node, context)
        case cst.If(test=test):
            return is_guard(test)
        case cst.Call():
            return _is_silent_call(node) or (context.message and _formats(node))
        case cst.FunctionDef():
            return any(_last_name(item.decorator) in _OVERLOAD for item in node.decorators)
        case cst.BinaryOperation(left=left):
            return context.message and isinstance(left, TEXT)
        case cst.SimpleString() | cst.FormattedString() | cst.ConcatenatedString():
            return context.message
    return isinstance(node, _SILENT)


def is_guard(test: cst.BaseExpression) -> bool:
    """Whether the test is `TYPE_CHECKING` or `__name__ == "__main__"`."""
    match test:
        case cst.Name(value="TYPE_CHECKING") | cst.Attribute(attr=cst.Name(value="TYPE_CHECKING")):
            return True
        case cst.Comparison():
            return any(_last_name(side) == "__name__" for side in sides(test))
    return False


def _is_declaration(node: cst.Assign | cst.AnnAssign | cst.AugAssign, context: Context) -> bool:
    targets = (
        [item.target for item in node.targets] if isinstance(node, cst.Assign) else [node.target]
    )
    return any(
        isinstance(target, cst.Name)
        and target.value.startswith("__")
        and target.value.endswith("__")
        and (context.level == "module" or target.value == "__slots__")
        for target in targets
    )


def _is_silent_call(node: cst.Call) -> bool:
    name = callee(node)
    if name in _TYPING:
        return True
    if name not in _LOGGING:
        return False
    match node.func:
        case (
            cst.Attribute(value=cst.Name(value=owner))
            | cst.Attribute(value=cst.Attribute(attr=cst.Name(value=owner)))
        ):
            return owner.lower().lstrip("_") in ("log", "logger", "logging", "warnings")
        case cst.Name():
            return name in ("warn", "warn_explicit")
    return False


def _formats(node: cst.Call) -> bool:
    match node.func:
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            return name in ("format", "join") and isinstance(value, TEXT)
    return False


def _last_name(node: cst.BaseExpression) -> str:
    match node:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return name
    return ""
