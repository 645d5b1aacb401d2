"""Tools that change files: by symbol, by replaced text, and by new files."""

from __future__ import annotations

from difflib import SequenceMatcher, unified_diff

from pydantic import Field

from tools.base import Arguments, Observation, Tool, ToolError, capped
from tools.codemap import MODULE, Symbol, parse, plain_name
from tools.files import decoded, read_bytes, similar_paths
from tools.languages import language_of
from tools.match import replace_once
from tools.sandbox.base import PathError, Sandbox
from tools.splice import check_syntax, splice, unfence

DIFF_LIMIT = 4000


class EditSymbol(Arguments):
    """Arguments of edit_symbol."""

    symbol: str = Field(description="the definition to rewrite, as path::qualname")
    code: str = Field(
        description="the whole new definition, of the same name", json_schema_extra={"body": True}
    )


class ReplaceText(Arguments):
    """Arguments of replace_text."""

    path: str = Field(description="file, relative to the repository")
    old: str = Field(
        description="lines that are in the file exactly once", json_schema_extra={"body": True}
    )
    new: str = Field(description="what takes their place", json_schema_extra={"body": True})


class CreateFile(Arguments):
    """Arguments of create_file."""

    path: str = Field(description="file to make, relative to the repository")
    content: str = Field(description="its whole content", json_schema_extra={"body": True})


def resolve(path: str, qualname: str, source: bytes) -> Symbol:
    """The symbol of a file by its qualified name, or by its unique end. Raises ToolError."""
    if language_of(path) is None:
        raise ToolError(f"{path} is in a language without symbols; use replace_text")
    symbols = [s for s in parse(path, source) if s.qualname != MODULE]
    exact = [s for s in symbols if s.qualname == qualname]
    found = exact or [s for s in symbols if f".{s.qualname}".endswith(f".{qualname}")]
    if len(found) == 1:
        return found[0]
    if qualname == MODULE:
        raise ToolError("code outside definitions is changed with replace_text, not by symbol")
    if found:
        names = ", ".join(s.id for s in found[:10])
        raise ToolError(f"{qualname!r} names several symbols; write one of {names}")
    last = plain_name(qualname)
    symbols.sort(key=lambda s: -SequenceMatcher(None, last, s.name).ratio())
    names = ", ".join(s.id for s in symbols[:8]) or "none"
    raise ToolError(f"{path} has no symbol {qualname!r}; its symbols: {names}")


def write_edit(sandbox: Sandbox, path: str, old: bytes, new: bytes, notes: str) -> Observation:
    """Write a file and answer with the difference."""
    try:
        sandbox.write(path, new)
    except PathError as error:
        raise ToolError(str(error)) from None
    before, after = (d.decode("utf-8", "replace").splitlines() for d in (old, new))
    changes = "\n".join(list(unified_diff(before, after, lineterm="", n=2))[2:])
    text, cut = capped(f"{notes}\n{changes}", DIFF_LIMIT)
    return Observation(text, cut=cut)


def _edit_symbol(sandbox: Sandbox, arguments: EditSymbol) -> Observation:
    path, separator, qualname = arguments.symbol.strip().partition("::")
    if not separator or not qualname:
        raise ToolError(f"{arguments.symbol!r} is not of the form path::qualname")
    source = read_bytes(sandbox, path)
    decoded(path, source)
    symbol = resolve(path, qualname.strip(), source)
    spliced = splice(source, symbol, arguments.code)
    notes = "; ".join([f"rewrote {symbol.id}", *spliced.notes])
    return write_edit(sandbox, path, source, spliced.source, notes)


def _replace_text(sandbox: Sandbox, arguments: ReplaceText) -> Observation:
    source = read_bytes(sandbox, arguments.path)
    text = decoded(arguments.path, source)
    crlf = "\r\n" in text and text.count("\n") == text.count("\r\n")
    old, new = (t.replace("\r\n", "\n") if crlf else t for t in (arguments.old, arguments.new))
    replaced = replace_once(text.replace("\r\n", "\n") if crlf else text, old, new)
    result = replaced.text.replace("\n", "\r\n") if crlf else replaced.text
    check_syntax(arguments.path, source, result.encode(), None)
    notes = f"replaced in {arguments.path} ({replaced.how} match)"
    return write_edit(sandbox, arguments.path, source, result.encode(), notes)


def _create_file(sandbox: Sandbox, arguments: CreateFile) -> Observation:
    path = arguments.path.strip()
    try:
        sandbox.read(path)
    except PathError:
        pass
    else:
        raise ToolError(f"{path} exists; change it with edit_symbol or replace_text")
    content = unfence(arguments.content)
    data = (content + "\n").encode() if content else b""
    check_syntax(path, b"", data)
    try:
        sandbox.write(path, data)
    except PathError as error:
        near = similar_paths(sandbox, path)
        raise ToolError(f"{error}{f'; near it: {near}' if near else ''}") from None
    return Observation(f"created {path} ({data.count(10)} lines)")


EDIT_SYMBOL = Tool(
    "edit_symbol",
    "Rewrite one function, method or class: give its whole new definition.",
    EditSymbol,
    _edit_symbol,
)
REPLACE_TEXT = Tool(
    "replace_text",
    "Replace lines of a file by others; the old lines must be in it exactly once.",
    ReplaceText,
    _replace_text,
)
CREATE_FILE = Tool("create_file", "Make a new file.", CreateFile, _create_file)
