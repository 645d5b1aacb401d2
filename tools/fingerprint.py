"""When two Python sources are surely the same program: equal bytecode."""

from __future__ import annotations
import __future__

import ast
import dis
import hashlib
import warnings
from types import CodeType

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")
_COMPILE_ERRORS = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)
_TARGETS = frozenset((*dis.hasjrel, *dis.hasjabs))
_CONSTANTS = frozenset(dis.hasconst)
# What Python 3.13 and later store in a class about its source.
_DERIVED = ("__firstlineno__", "__static_attributes__")


def fingerprint(source: bytes) -> str | None:
    """Hexadecimal digest of the compiled program, None when it does not compile.

    Equal for sources that differ only in layout, comments, docstrings, and what the compiler of
    the running Python folds away. Different digests do not prove different behaviour.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
            _drop_docstrings(tree)
            return digest(compile(tree, "<source>", "exec", dont_inherit=True)).hex()
        except _COMPILE_ERRORS:
            return None


def compiled(source: bytes, flags: int) -> CodeType | None:
    """The code of a piece of a module, under the module's `__future__` flags, or None."""
    try:
        code: CodeType = compile(source, "<source>", "exec", flags=flags, dont_inherit=True)
    except _COMPILE_ERRORS:
        return None
    return code


def future_flags(tree: ast.Module) -> int:
    """The compiler flags that the `from __future__` imports of a module set."""
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    return flags


def _drop_docstrings(node: ast.AST) -> None:
    if isinstance(node, _DOCUMENTED):
        body: list[ast.stmt] = node.body
        while body and _is_text(body[0]):
            first = body.pop(0)
        if not body and not isinstance(node, ast.Module):
            body.append(ast.copy_location(ast.Pass(), first))
    for name in _BLOCKS:
        for child in getattr(node, name, ()):
            _drop_docstrings(child)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def digest(code: CodeType) -> bytes:
    """Digest of a code object: what it does and how it is called, not where it was written."""
    exceptions, instructions = _instructions(code)
    shape = (
        code.co_name,
        code.co_qualname,
        code.co_flags,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_names,
        code.co_varnames,
        code.co_cellvars,
        code.co_freevars,
        exceptions,
    )
    return hashlib.sha256(repr(shape).encode() + instructions).digest()


def _instructions(code: CodeType) -> tuple[list[tuple[int, ...]], bytes]:
    """Exception table and instructions, without NOP, with constants by value.

    Positions are counted in instructions kept: a line break may cost a NOP, and nothing else.
    """
    kept: list[dis.Instruction] = []
    index: dict[int, int] = {}
    bytecode = dis.Bytecode(code)
    for instruction in bytecode:
        index[instruction.offset] = len(kept)
        if instruction.opname not in ("NOP", "EXTENDED_ARG", "CACHE"):
            kept.append(instruction)
    parts: list[bytes] = []
    for instruction, following in zip(kept, (*kept[1:], None), strict=True):
        parts.append(instruction.opname.encode())
        if following and following.opname == "STORE_NAME" and following.argval in _DERIVED:
            continue
        if instruction.opcode in _CONSTANTS:
            parts.append(_constant(instruction.argval))
        elif instruction.opcode in _TARGETS:
            parts.append(b"%d" % index[instruction.argval])
        elif instruction.arg is not None:
            parts.append(b"%d" % instruction.arg)
    entries = bytecode.exception_entries  # type: ignore[attr-defined]
    table: list[tuple[int, ...]] = [
        (
            index[entry.start],
            index.get(entry.end, len(kept)),
            index[entry.target],
            entry.depth,
            entry.lasti,
        )
        for entry in entries
    ]
    return table, b"\0".join(parts)


def _constant(value: object) -> bytes:
    if isinstance(value, CodeType):
        return b"code:" + digest(value)
    if isinstance(value, tuple):
        return b"tuple:" + hashlib.sha256(b"".join(_hashed(item) for item in value)).digest()
    if isinstance(value, frozenset):
        items = sorted(_hashed(item) for item in value)
        return b"frozenset:" + hashlib.sha256(b"".join(items)).digest()
    return f"{type(value).__name__}:{value!r}".encode("utf-8", "surrogatepass")


def _hashed(value: object) -> bytes:
    return hashlib.sha256(_constant(value)).digest()
