"""Putting a rewritten definition in the place of the old one, as pure functions over bytes."""

from __future__ import annotations

import re
import warnings
from codecs import BOM_UTF8
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tools.base import ToolError
from tools.codemap import Symbol, definition_of, extent, indentation, plain_name
from tools.languages import LanguageSpec, language_of, parser

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True)
class Spliced:
    """The new bytes of the file, and remarks on what was not taken as written."""

    source: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Draft:
    """The policy's code, taken apart: imports to hoist, and the text to splice in.

    The wanted definition is at `at` in `text`, and with its decorators at `start`.
    """

    imports: tuple[str, ...]
    text: bytes
    start: int
    at: int
    exported: bool
    notes: tuple[str, ...]


def splice(source: bytes, symbol: Symbol, code: str) -> Spliced:
    """The file with `code` in the place of `symbol`'s definition.

    Old decorators stay when the new text has none. Raises ToolError when the code defines
    something else, changes nothing, or does not parse.
    """
    language = language_of(symbol.path)
    assert language is not None
    replaced = source[symbol.start_byte : symbol.end_byte]
    crlf = b"\r\n" in (replaced if b"\n" in replaced else source)
    lines = unfence(code).replace("\r\n", "\n").split("\n")
    margin = indentation(source, symbol.start_byte)
    lines = _dedented(_tabbed(lines, symbol, source), symbol, source)
    draft = _draft(lines, symbol, language)
    text = _with_old_prefix(draft, source, symbol)
    old = replaced.replace(b"\r\n", b"\n").decode()
    block = _indented(text, margin, old, symbol, language).encode()
    if crlf:
        block = block.replace(b"\n", b"\r\n")
    result = source[: symbol.start_byte] + block + source[symbol.end_byte :]
    first_line = symbol.start_line
    if draft.imports:
        result, added = _hoisted(result, draft.imports, language, "\r\n" if crlf else "\n")
        first_line += added
    if result == source:
        raise ToolError(
            f"the code is identical to the current definition of {symbol.id}; change it"
        )
    check_syntax(symbol.path, source, result, first_line)
    return Spliced(result, draft.notes)


def check_syntax(path: str, old: bytes, new: bytes, first_line: int | None = 1) -> None:
    """Raise ToolError when `new` does not parse although `old` does.

    Line numbers in the message count from `first_line`, where the policy's code begins; with
    None they are those of the file.
    """
    language = language_of(path)
    if language is None:
        return
    problem: tuple[int, str] | None = None
    if language.name == "python" and _python_error(old) is None:
        problem = _python_error(new)
    if problem is None and _tree_error(old, language) is None:
        problem = _tree_error(new, language)
    if problem is None:
        return
    line, message = problem
    lines = new.decode("utf-8", "replace").splitlines()
    shown = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    own = first_line is not None and line >= first_line
    where = f"line {line - (first_line or 1) + 1} of your code" if own else f"line {line}"
    raise ToolError(f"not applied, it does not parse: {message} at {where}: {shown[:120]!r}")


def unfence(code: str) -> str:
    """The code without a fence of backquotes around it and without blank lines at its ends."""
    lines = code.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) >= 2 and lines[0].startswith("```") and lines[-1].strip() == "```":
        return unfence("\n".join(lines[1:-1]))
    return "\n".join(lines)


def _python_error(source: bytes) -> tuple[int, str] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source, "<edit>", "exec", dont_inherit=True)
        except SyntaxError as error:
            return error.lineno or 1, error.msg
        except (ValueError, RecursionError, MemoryError) as error:
            return 1, f"{type(error).__name__}: {error}"
    return None


def _tree_error(source: bytes, language: LanguageSpec) -> tuple[int, str] | None:
    root = parser(language).parse(source).root_node
    if not root.has_error:
        return None
    stack = [root]
    while stack:
        node = stack.pop()
        if node.is_missing:
            return node.start_point[0] + 1, f"missing {node.type!r}"
        if node.is_error:
            return node.start_point[0] + 1, "syntax error"
        stack.extend(c for c in reversed(node.children) if c.has_error or c.is_missing)
    return 1, "syntax error"


def _width(line: str) -> int:
    return len(line) - len(line.lstrip())


def _tabbed(lines: list[str], symbol: Symbol, source: bytes) -> list[str]:
    """Leading spaces as tabs when the file is indented with tabs, and the reverse."""
    old = [line for line in symbol.text(source).splitlines() if line.strip()]
    old_leads = {line[0] for line in old if line[0] in " \t"}
    new_leads = {line[0] for line in lines if line.strip() and line[0] in " \t"}
    if not new_leads or not old_leads or old_leads & new_leads or len(old_leads) > 1:
        return lines
    widths = {_width(line) for line in lines if line.strip()} - {0}
    unit = " " * min(widths) if old_leads == {"\t"} else "\t"
    wanted = "\t" if old_leads == {"\t"} else " " * min({_width(line) for line in old} - {0})
    result = []
    for line in lines:
        count = _width(line) // len(unit)
        result.append(wanted * count + line[count * len(unit) :] if count else line)
    return result


def _dedented(lines: list[str], symbol: Symbol, source: bytes) -> list[str]:
    """The lines moved to column 0, whichever of the usual ways they were indented.

    One way is a verbatim copy whose first line alone has lost its indentation.
    """
    own = lines[0][: _width(lines[0])] if lines else ""
    margin = indentation(source, symbol.start_byte)
    rest = [line for line in lines[1:] if line.strip()]
    if margin and not own and rest:
        old = source[symbol.node_byte : symbol.end_byte].decode().splitlines()
        old_rest = [line for line in old[1:] if line.strip()]
        if lines[0].startswith(("@", "#[")):
            heads = ("def ", "async ", "class ", old[0].split()[0])
            starts = (line for line in rest if line.lstrip().startswith(heads))
            verbatim = next(starts, "").startswith(margin)
        else:
            verbatim = bool(old_rest) and _width(rest[0]) == _width(old_rest[0])
        own = margin if verbatim else own
    return [line.removeprefix(own) for line in lines]


def _draft(lines: list[str], symbol: Symbol, language: LanguageSpec) -> _Draft:
    opening, closing = language.enclosure if symbol.kind == "method" else ("", "")
    text = (opening + "\n".join(lines) + closing).encode()
    root = parser(language).parse(text).root_node
    top = _body(root.named_children[0]) if opening and root.named_children else root
    wanted, others = _definitions(top, language, plain_name(symbol.qualname))
    if len(wanted) != 1:
        inner = _inside_class(lines, symbol, language) if not wanted else None
        if inner is not None:
            return inner
        raise _not_one(text, opening.count("\n"), len(wanted), others, symbol, language)
    first, last = extent(wanted[0], language)
    noise = [
        c for c in top.named_children if c.start_byte > last.start_byte and _is_noise(c, language)
    ]
    imports = [c for c in top.named_children if c.type in language.imports]
    end = len(text) - len(closing.encode())
    start, at = first.start_byte, wanted[0].start_byte
    for child in sorted(noise + imports, key=lambda c: -c.start_byte):
        stop = child.end_byte
        while stop < end and text[stop : stop + 1] in (b"\n", b" ", b";"):
            stop += 1
        text = text[: child.start_byte] + text[stop:]
        gone = stop - child.start_byte
        end -= gone
        if child.start_byte < at:
            start, at = start - gone, at - gone
    offset = len(opening.encode())
    kept = text[offset:end].rstrip()
    return _Draft(
        imports=tuple((c.text or b"").decode() for c in imports),
        text=kept,
        start=start - offset,
        at=at - offset,
        exported=last.type in language.exports,
        notes=tuple(f"left out: {(c.text or b'').decode().splitlines()[0][:80]}" for c in noise),
    )


def _inside_class(lines: list[str], symbol: Symbol, language: LanguageSpec) -> _Draft | None:
    """The draft of a method that was written inside a repetition of its class."""
    if symbol.parent is None:
        return None
    holder, name = plain_name(symbol.parent), plain_name(symbol.qualname)
    text = "\n".join(lines).encode()
    root = parser(language).parse(text).root_node
    for node in _definitions(root, language, holder)[0]:
        inner = _definitions(_body(node), language, name)[0]
        if len(inner) == 1:
            first, last = extent(inner[0], language)
            margin = indentation(text, first.start_byte)
            taken = text[first.start_byte : last.end_byte].decode().split("\n")
            draft = _draft([line.removeprefix(margin) for line in taken], symbol, language)
            return replace(
                draft,
                imports=tuple(_imports(root, language)),
                notes=(*draft.notes, f"of {holder} only {name} was taken"),
            )
    return None


def _not_one(
    text: bytes,
    skip: int,
    count: int,
    others: list[str],
    symbol: Symbol,
    language: LanguageSpec,
) -> ToolError:
    name = plain_name(symbol.qualname)
    if count:
        return ToolError(f"the code defines {name!r} {count} times; write only the new {symbol.id}")
    problem = _tree_error(text, language)
    if problem is not None and language.name == "python":
        problem = _python_error(text) or problem
    if problem is not None:
        line, message = problem
        shown = [*text.decode().splitlines(), ""][line - 1].strip()
        return ToolError(
            f"the code does not parse: {message} at its line {line - skip}: {shown[:120]!r}"
        )
    return ToolError(
        f"the code must define {name!r} but defines {', '.join(others) or 'nothing'}. Write the "
        f"whole new definition of {symbol.id}, beginning with: {symbol.signature}"
    )


def _body(node: Node) -> Node:
    return node.child_by_field_name("body") or node


def _definitions(top: Node, language: LanguageSpec, name: str) -> tuple[list[Node], list[str]]:
    """Definitions of `name` directly below a node, and the names of the others."""
    wanted: list[Node] = []
    others: list[str] = []
    stack = list(reversed(top.named_children))
    while stack:
        node = stack.pop()
        definition = definition_of(node, language)
        if definition is not None and definition.scope:
            stack.extend(reversed(_body(node).named_children))
        elif definition is not None:
            named = node.child_by_field_name(definition.name)
            own = ((named.text if named else b"") or b"").decode()
            if own == name:
                wanted.append(node)
            else:
                others.append(repr(own))
        elif node.type in language.wrappers:
            stack.extend(reversed(node.named_children))
    return wanted, others


def _imports(top: Node, language: LanguageSpec) -> list[str]:
    return [(c.text or b"").decode() for c in top.named_children if c.type in language.imports]


def _is_noise(node: Node, language: LanguageSpec) -> bool:
    inner = node
    if node.type == "expression_statement" and node.named_children:
        inner = node.named_children[0]
    return inner.type in language.noise


def _with_old_prefix(draft: _Draft, source: bytes, symbol: Symbol) -> str:
    """The draft with the old decorators (or `export`) put back if it has none itself."""
    prefix = source[symbol.start_byte : symbol.node_byte].decode().replace("\r\n", "\n")
    prefix = prefix.replace("\n" + indentation(source, symbol.start_byte), "\n")
    place = draft.at
    if draft.start == draft.at:
        prefix = re.sub(r"\b(const|let|var)\s+$", "", prefix)
    else:
        export = re.match(r"export\s+(default\s+)?", prefix)
        prefix = export[0] if export and not draft.exported else ""
        place = draft.start
    return draft.text[:place].decode() + prefix + draft.text[place:].decode()


def _indented(text: str, margin: str, old: str, symbol: Symbol, language: LanguageSpec) -> str:
    """The text moved right by `margin`; its first line starts where the old one did.

    Lines inside a string are part of its value: they move only in docstrings, or when the old
    definition has them so.
    """
    if not margin:
        return text
    opening, closing = language.enclosure if symbol.kind == "method" else ("", "")
    data = (opening + text + closing).encode()
    fixed: set[int] = set()
    stack = [parser(language).parse(data).root_node]
    while stack:
        node = stack.pop()
        if node.type not in language.strings:
            stack.extend(node.children)
            continue
        first, last = node.start_point[0], node.end_point[0]
        if first == last or (node.parent and node.parent.type == "expression_statement"):
            continue
        written = (node.text or b"").decode()
        moved = written.replace("\n", "\n" + margin)
        if written in old or moved not in old:
            fixed.update(range(first + 1, last + 1))
    skip = opening.count("\n")
    result = []
    for number, line in enumerate(text.split("\n")):
        still = number == 0 or number + skip in fixed or not line.strip()
        result.append(line if still else margin + line)
    return "\n".join(result)


def _hoisted(
    source: bytes, imports: tuple[str, ...], language: LanguageSpec, newline: str
) -> tuple[bytes, int]:
    """The file with the imports that it lacks, and how many lines that adds."""
    root = parser(language).parse(source).root_node
    present = {" ".join(text.split()) for text in _imports(root, language)}
    missing = [i for i in dict.fromkeys(imports) if " ".join(i.split()) not in present]
    head, last = _preamble(root, language)
    added = 0
    for place, group in (
        (last, [i for i in missing if "__future__" not in i]),
        (head, [i for i in missing if "__future__" in i]),
    ):
        if group:
            block = "".join(i.replace("\n", newline) + newline for i in group).encode()
            start = len(BOM_UTF8) if source.startswith(BOM_UTF8) else 0
            end = source.find(b"\n", place) + 1 if place else start
            if place and not end:
                source, end = source + newline.encode(), len(source) + len(newline)
            source = source[:end] + block + source[end:]
            added += block.count(b"\n")
    return source, added


def _preamble(root: Node, language: LanguageSpec) -> tuple[int, int]:
    """Where the docstring (or the `#!` line) ends, and where the first block of imports ends."""
    head = last = 0
    for child in root.named_children:
        text = child.text or b""
        if child.type in language.imports:
            last = child.end_byte
        elif child.type in _HEADS or (not last and re.match(_HEAD, text)):
            head = child.end_byte
        elif "comment" not in child.type:
            break
    return head, max(head, last)


_HEAD = rb"#!|#.*coding[:=]|[rR]?['\"]"
_HEADS = frozenset({"package_clause", "hash_bang_line"})
