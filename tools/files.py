"""Tools that look at files: list, read, search."""

from __future__ import annotations

import difflib
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import PurePosixPath

from pydantic import Field

from tools.base import Arguments, Observation, Tool, ToolError, capped
from tools.sandbox.base import PathError, Sandbox

MAX_FILE = 5_000_000
MOST_COMPARED = 20_000
READ_LIMIT = 12_000
READ_LINES = 400
LIST_LIMIT = 6_000
SEARCH_HITS = 60
SEARCH_LINE = 200
SEARCH_SECONDS = 10.0
_XARGS_BYTES = 60_000


class ListFiles(Arguments):
    """Arguments of list_files."""

    glob: str = Field(default="", description="pattern such as src/*.py or **/test_*.py")


class ReadFile(Arguments):
    """Arguments of read_file."""

    path: str = Field(description="file, relative to the repository")
    start_line: int = Field(default=1, ge=1, description="first line to show")
    end_line: int | None = Field(default=None, ge=1, description="last line to show")


class Search(Arguments):
    """Arguments of search."""

    pattern: str = Field(min_length=1, description="text to find, or a regular expression")
    glob: str = Field(default="", description="search only files that match")
    regex: bool = Field(default=False, description="take the pattern as a regular expression")


def read_bytes(sandbox: Sandbox, path: str) -> bytes:
    """The bytes of a file. Raises ToolError that names files like it."""
    try:
        data = sandbox.read(path.strip())
    except PathError as error:
        near = similar_paths(sandbox, path)
        raise ToolError(f"{error}{f'; near it: {near}' if near else ''}") from None
    if len(data) > MAX_FILE:
        raise ToolError(f"{path} has {len(data):,} bytes, too many to work with")
    return data


def decoded(path: str, data: bytes) -> str:
    """The text of a file. Raises ToolError when it is binary or not UTF-8."""
    if b"\0" in data:
        raise ToolError(f"{path} is a binary file of {len(data):,} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(
            f"{path} is not UTF-8 (byte {error.start}); only UTF-8 files can be read and edited"
        ) from None


def similar_paths(sandbox: Sandbox, path: str) -> str:
    """Up to five paths of the workspace that resemble a mistaken one, for an error message."""
    names = [name for name, _ in sandbox.files()]
    base = PurePosixPath(path.strip()).name
    same = [n for n in names if PurePosixPath(n).name == base]
    if len(path) > 500 or len(names) > MOST_COMPARED:
        return ", ".join(same[:5])
    return ", ".join((same or difflib.get_close_matches(path, names, 5, 0.6))[:5])


def matches(path: str, glob: str) -> bool:
    """Whether a path matches a glob: `**` crosses folders, a bare name matches in any folder.

    Takes time in proportion to the lengths of both, whatever they are.
    """
    glob = glob.strip().removeprefix("./")
    if not glob:
        return True
    if "/" not in glob:
        return _fits([PurePosixPath(path).name], [glob])
    return _fits(path.split("/"), _parts(glob + "**" if glob.endswith("/") else glob))


@lru_cache(maxsize=64)
def _parts(glob: str) -> list[str]:
    """The parts of a glob. `**` at the start of one crosses folders, as `**/*` does; elsewhere in
    it, it is a `*`."""
    parts: list[str] = []
    for part in glob.split("/"):
        if part.startswith("**"):
            parts.append("**")
        if part.strip("*") or not part.startswith("**"):
            parts.append(re.sub(r"\*+", "*", part))
    return parts


def _fits(names: list[str], parts: list[str]) -> bool:
    reached = {0}
    for part in parts:
        if part == "**":
            reached = set(range(min(reached), len(names) + 1))
        else:
            fit = (at for at in reached if at < len(names))
            reached = {at + 1 for at in fit if part == names[at] or fnmatchcase(names[at], part)}
        if not reached:
            return False
    return len(names) in reached


def _list_files(sandbox: Sandbox, arguments: ListFiles) -> Observation:
    found = [(n, size) for n, size in sandbox.files() if matches(n, arguments.glob)]
    if not found:
        raise ToolError(f"no file matches {arguments.glob!r}")
    lines = [f"{len(found)} files"] + [f"{name} ({size:,} bytes)" for name, size in found]
    text, cut = capped("\n".join(lines), LIST_LIMIT)
    return Observation(text, cut=cut)


def _read_file(sandbox: Sandbox, arguments: ReadFile) -> Observation:
    path = arguments.path.strip()
    lines = decoded(path, read_bytes(sandbox, path)).splitlines()
    if not lines:
        return Observation(f"{path} is empty")
    start = arguments.start_line
    if start > len(lines):
        raise ToolError(f"{path} has only {len(lines)} lines")
    end = min(arguments.end_line or len(lines), len(lines))
    if end < start:
        raise ToolError(f"end_line {end} is before start_line {start}")
    shown = min(end, start + READ_LINES - 1)
    body = "\n".join(f"{n}: {lines[n - 1]}" for n in range(start, shown + 1))
    text, cut = capped(body, READ_LIMIT)
    head = f"{path}, lines {start} to {shown} of {len(lines)}"
    if shown < end:
        head += f"; go on with start_line {shown + 1}"
    left = sum(len(line) + 1 for line in lines[shown:end])
    return Observation(f"{head}\n{text}", cut=cut + left)


def _search(sandbox: Sandbox, arguments: Search) -> Observation:
    names = [n for n, s in sandbox.files() if s <= MAX_FILE and matches(n, arguments.glob)]
    if not names:
        raise ToolError(f"no file matches {arguments.glob!r}")
    option = "-E" if arguments.regex else "-F"
    base = ["grep", "-n", "-H", "-I", "-m", str(SEARCH_HITS), option, "-e"]
    hits: list[str] = []
    for batch in _batches(names):
        result = sandbox.run(
            [*base, arguments.pattern, "--", *(f"./{n}" for n in batch)], timeout=SEARCH_SECONDS
        )
        if result.killed_by == "timeout":
            raise ToolError("the search took too long; use a simpler pattern or a glob")
        if result.exit_code > 1 and not result.stdout:
            problem = result.stderr.decode("utf-8", "replace").strip()[:300]
            raise ToolError(f"grep: {problem}")
        for line in result.stdout.decode("utf-8", "replace").splitlines():
            hit = re.match(r"(?:\./)?(.+?:\d+:)(.*)", line)
            if hit:
                text = hit[2] if len(hit[2]) <= SEARCH_LINE else hit[2][:SEARCH_LINE] + "…"
                hits.append(f"{hit[1]} {text}")
        if len(hits) > SEARCH_HITS:
            break
    if not hits:
        where = f" in {arguments.glob}" if arguments.glob else ""
        return Observation(f"no line matches {arguments.pattern!r}{where}")
    more = len(hits) - SEARCH_HITS
    rest = "\n[more hits left out: narrow the search with a glob]" if more > 0 else ""
    text, cut = capped("\n".join(hits[:SEARCH_HITS]), READ_LIMIT)
    return Observation(text + rest, cut=cut + sum(map(len, hits[SEARCH_HITS:])))


def _batches(names: list[str]) -> list[list[str]]:
    """Names in groups that fit on a command line."""
    groups: list[list[str]] = [[]]
    size = 0
    for name in names:
        size += len(name.encode()) + 3
        if size > _XARGS_BYTES:
            groups.append([])
            size = len(name.encode()) + 3
        groups[-1].append(name)
    return groups


LIST_FILES = Tool("list_files", "List the files of the repository.", ListFiles, _list_files)
READ_FILE = Tool("read_file", "Show lines of a file with their numbers.", ReadFile, _read_file)
SEARCH = Tool("search", "Find lines in the files of the repository.", Search, _search)
