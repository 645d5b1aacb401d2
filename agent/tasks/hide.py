"""Taking tests out of a tree, and patches made from the contents of files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

_COMMENT = re.compile(rb"([ \t]*)#")
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_NO_NEWLINE = "\\ No newline at end of file\n"


def test_place(test_id: str) -> tuple[str, str] | None:
    """The file and the qualified name of a pytest test, without its parameters.

    None for what is no test function in a Python file: doctests, files and sessions that fail.
    """
    path, separator, name = test_id.partition("::")
    parts = name.split("[", 1)[0].split("::")
    if not separator or not path.endswith(".py") or not all(map(str.isidentifier, parts)):
        return None
    return path, ".".join(parts)


def hide_tests(source: bytes, names: Collection[str]) -> bytes | None:
    """The file without these functions, given by qualified name; every other line stays as it is.

    Decorators and the comments right above go too, and so does a class that is left with nothing
    and that nothing else in the file mentions. None when a name is not defined as a function
    there, or the file is not Python.
    """
    if b"\r" in source.replace(b"\r\n", b""):
        return None
    try:
        wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    except (cst.ParserSyntaxError, SyntaxError, UnicodeDecodeError):
        return None
    cutter = _Cutter(source, names, wrapper)
    cutter.block(wrapper.module.body, "")
    return cutter.result() if cutter.found >= set(names) else None


class _Cutter:
    """Marks the lines that go. Lines count from 0."""

    def __init__(self, source: bytes, names: Collection[str], wrapper: MetadataWrapper) -> None:
        self.lines = re.findall(rb"[^\n]*\n|[^\n]+", source)
        self.names = names
        self.places = wrapper.resolve(PositionProvider)
        self.dropped: set[int] = set()
        self.passes: dict[int, bytes] = {}
        self.found: set[str] = set()

    def result(self) -> bytes:
        """The lines that stay."""
        kept = (
            self.passes.get(number, b"") if number in self.dropped else line
            for number, line in enumerate(self.lines)
        )
        return b"".join(kept)

    def block(self, statements: Sequence[cst.CSTNode], prefix: str) -> bool:
        """Cut in a block; True when something went and nothing that does anything is left."""
        gone: list[int] = []
        useful = False
        for statement in statements:
            name = prefix + statement.name.value if isinstance(statement, _NAMED) else ""
            if isinstance(statement, cst.FunctionDef) and name in self.names:
                self.found.add(name)
                gone.append(self.cut(statement))
            elif isinstance(statement, cst.ClassDef):
                if self.block(statement.body.body, f"{name}.") and self.unused(statement):
                    gone.append(self.cut(statement))
                else:
                    useful = True
            elif not _is_idle(statement):
                useful = True
                for inner in _blocks(statement):
                    self.block(inner, prefix)
        if len(gone) == len(statements) > 0:
            self.fill(gone[-1])
        return bool(gone) and not useful

    def cut(self, node: cst.FunctionDef | cst.ClassDef) -> int:
        """Mark a definition, with what belongs to it; returns the line of its `def` or `class`."""
        line = self.places[node].start.line - 1
        indent = _indent(self.lines[line])
        start = min([line, *(self.places[d].start.line - 1 for d in node.decorators)])
        end = self.places[node.body].end.line
        while self.comment(start - 1) == indent:
            start -= 1
        while start > 0 and not self.lines[start - 1].strip():
            start -= 1
        last = end
        while last < len(self.lines) and (
            len(self.comment(last) or b"") > len(indent) or not self.lines[last].strip()
        ):
            last += 1
            if self.lines[last - 1].strip():
                end = last
        self.dropped.update(range(start, end))
        for number in range(start, end):
            self.passes.pop(number, None)
        return line

    def comment(self, number: int) -> bytes | None:
        """The indentation of a line that holds a comment only; None for any other line."""
        found = _COMMENT.match(self.lines[number]) if 0 <= number < len(self.lines) else None
        return found[1] if found else None

    def fill(self, line: int) -> None:
        """Leave `pass` where a block would be empty; a module may be."""
        text = self.lines[line]
        if indent := _indent(text):
            end = b"\r\n" if text.endswith(b"\r\n") else b"\n"
            self.passes[line] = indent + b"pass" + end

    def unused(self, node: cst.ClassDef) -> bool:
        """Whether the file mentions a class nowhere else."""
        word = re.compile(rb"\b" + re.escape(node.name.value.encode()) + rb"\b")
        return sum(len(word.findall(line)) for line in self.lines) == 1


_NAMED = (cst.FunctionDef, cst.ClassDef)


def _indent(line: bytes) -> bytes:
    return line[: len(line) - len(line.lstrip(b" \t\x0c"))]


def _is_idle(node: cst.CSTNode) -> bool:
    """Whether a statement does nothing: a docstring, `pass`, `...`."""
    if not isinstance(node, cst.SimpleStatementLine):
        return False
    return all(
        isinstance(part, cst.Pass)
        or (
            isinstance(part, cst.Expr)
            and isinstance(part.value, cst.BaseString | cst.ConcatenatedString | cst.Ellipsis)
        )
        for part in node.body
    )


def _blocks(node: cst.CSTNode) -> Iterator[Sequence[cst.CSTNode]]:
    """The blocks of a compound statement that is no definition."""
    if isinstance(node, _NAMED):
        return
    for child in node.children:
        if isinstance(child, cst.IndentedBlock):
            yield child.body
        elif isinstance(child, cst.If | cst.Else | cst.ExceptHandler | cst.Finally):
            yield from _blocks(child)


def unified_diff(before: Mapping[str, bytes | None], after: Mapping[str, bytes | None]) -> str:
    """A patch that `git apply` takes, from the files' contents; None, or no entry, is no file.

    Raises ValueError for a file that is not text in UTF-8.
    """
    paths = sorted(before.keys() | after.keys())
    return "".join(_file_diff(path, before.get(path), after.get(path)) for path in paths)


def _file_diff(path: str, old: bytes | None, new: bytes | None) -> str:
    if old == new:
        return ""
    header = f"diff --git {_quoted(f'a/{path}')} {_quoted(f'b/{path}')}\n"
    if old is None:
        header += "new file mode 100644\n"
    if new is None:
        header += "deleted file mode 100644\n"
    hunks = list(difflib.unified_diff(_lines(path, old), _lines(path, new)))[2:]
    if not hunks:
        return header
    header += f"--- {'/dev/null' if old is None else _named(f'a/{path}')}\n"
    header += f"+++ {'/dev/null' if new is None else _named(f'b/{path}')}\n"
    return header + "".join(h if h.endswith("\n") else f"{h}\n{_NO_NEWLINE}" for h in hunks)


def _lines(path: str, data: bytes | None) -> list[str]:
    try:
        text = (data or b"").decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8") from error
    if "\0" in text:
        raise ValueError(f"{path} is not text")
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _quoted(path: str) -> str:
    """The path as git writes it: in quotes with escapes where it needs them."""
    if not re.search(r'[\x00-\x1f\x7f"\\]', path):
        return path
    control = {chr(n): f"\\{n:03o}" for n in (*range(32), 127)}
    escaped = (_ESCAPES.get(c) or control.get(c, c) for c in path)
    return f'"{"".join(escaped)}"'


def _named(path: str) -> str:
    """A path on a line of its own: git ends one that holds a space with a tab."""
    quoted = _quoted(path)
    return f"{quoted}\t" if " " in quoted and quoted == path else quoted
