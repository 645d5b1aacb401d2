"""A candidate's diff, taken apart by file and checked before anything is done with it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.verify.protected import is_git_folder, is_protected

MAX_PATCH_BYTES = 512 * 1024
MAX_PATCH_FILES = 50
NOTHING = "/dev/null"
_GIT = "diff --git "
_HUNK = re.compile(r"@@ -[0-9]+(?:,([0-9]+))? \+[0-9]+(?:,([0-9]+))? @@")
_MOVES = ("rename ", "copy ")
_MODE = re.compile(r"(?:(?:new|deleted) file mode|(?:old|new) mode|index \S+)\s+(\S+)")
_FILE_MODES = ("100644", "100755")
_COMPILED = (".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib", ".egg", ".whl")
_HIDDEN = frozenset({"Cc", "Cf"})


@dataclass(frozen=True)
class FilePatch:
    """The part of a diff about one file: the raw text and what it does.

    `mode` is the one that it sets, or the one that it names of what is no plain file; `problem`
    says how its lines contradict each other about which file it is.
    """

    path: str
    text: str
    added: bool
    removed: bool
    mode: str | None
    problem: str = ""


@dataclass(frozen=True)
class Split:
    """A diff split into what may be applied, and what was found on the way.

    `refused` is why the whole of it is not read; it is a finding, too.
    """

    allowed: tuple[FilePatch, ...]
    dropped: tuple[str, ...]
    findings: tuple[str, ...]
    refused: str = ""

    @property
    def diff(self) -> str:
        """The part of the diff that may be applied."""
        return "".join(part.text for part in self.allowed)

    @property
    def size(self) -> int:
        """Changed lines."""
        return sum(
            line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
            for part in self.allowed
            for line in _lines(part.text)
        )


def added(path: str, data: bytes) -> str:
    """The git diff that adds a file of text; `path` is one that git does not quote."""
    lines = _lines(data.decode("utf-8", "surrogateescape"))
    end = "" if not lines or lines[-1].endswith("\n") else "\n\\ No newline at end of file\n"
    body = "".join(f"+{line}" for line in lines)
    head = f"{_GIT}a/{path} b/{path}\nnew file mode 100644\n"
    if not lines:
        return head
    return f"{head}--- {NOTHING}\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}{end}"


def split(diff: str, protected: Sequence[str] = ()) -> Split:
    """Split a git diff. New test files are dropped; changed protected files are findings.

    A diff without git's headers is taken as well, if no part of it has one. Parts that git could
    read as changing another file than the one in their header are findings.
    """
    if not diff.strip():
        return Split((), (), ())
    if len(diff.encode("utf-8", "surrogatepass")) > MAX_PATCH_BYTES:
        return _refused(f"the patch is larger than {MAX_PATCH_BYTES // 1024} KiB")
    chunks = _chunks(diff if diff.endswith("\n") else diff + "\n")
    if not chunks:
        return _refused("there is no git diff in the patch")
    if len(chunks) > MAX_PATCH_FILES:
        return _refused(f"the patch touches {len(chunks)} files")
    if not any(_has_header(chunk) for chunk in chunks):
        chunks = [_with_header(chunk) for chunk in chunks]
    findings: list[str] = []
    allowed: list[FilePatch] = []
    dropped: list[str] = []
    for part in map(_part, chunks):
        problem = part.problem or _unsafe(part)
        if problem:
            findings.append(problem)
        elif is_protected(part.path, protected):
            if part.added:
                dropped.append(part.path)
            else:
                findings.append(f"changes a protected file: {part.path}")
        else:
            allowed.append(part)
    return Split(tuple(allowed), tuple(dropped), tuple(findings))


def _refused(reason: str) -> Split:
    return Split((), (), (reason,), reason)


def _chunks(diff: str) -> list[list[str]]:
    """The lines of each file: a chunk begins where git would begin to read another one."""
    chunks: list[list[str]] = []
    lines = _lines(diff)
    old = new = 0
    named = True
    for number, line in enumerate(lines):
        if old > 0 or new > 0:
            old -= line[0] in " -\n"
            new -= line[0] in " +\n"
            chunks[-1].append(line)
            continue
        if line.startswith(_GIT):
            chunks.append([])
            named = False
        elif line.startswith("--- ") and "".join(lines[number + 1 : number + 2])[:4] == "+++ ":
            if named:
                chunks.append([])
            named = True
        elif chunks and (hunk := _HUNK.match(line)):
            old, new = (int(count or 1) for count in hunk.groups())
            named = True
        if chunks:
            chunks[-1].append(line)
    return chunks


def _has_header(chunk: list[str]) -> bool:
    return chunk[0].startswith(_GIT)


def _with_header(chunk: list[str]) -> list[str]:
    """A plain part (`---`, `+++`) with the header that git would give it; none if it is quoted."""
    if any(line[4:].startswith('"') for line in chunk[:2]):
        return chunk
    old, new = _name(chunk[0]), _name(chunk[1])
    path = (old if new == NOTHING else new)[2:]
    made = [f"{_GIT}a/{path} b/{path}\n"]
    if old == NOTHING:
        made.append("new file mode 100644\n")
    elif new == NOTHING:
        made.append("deleted file mode 100644\n")
    return [*made, f"--- {old}\n", f"+++ {new}\n", *chunk[2:]]


def _part(lines: list[str]) -> FilePatch:
    header = lines[0].rstrip("\n")
    path, mode = _path_of(header), None
    added = removed = False
    names = []
    for line in lines[1:]:
        if _HUNK.match(line):
            break
        added = added or line.startswith("new file mode ")
        removed = removed or line.startswith("deleted file mode ")
        if found := _MODE.match(line):
            sets = line.startswith("new ") or found[1] not in _FILE_MODES
            mode = found[1] if sets and mode in (None, *_FILE_MODES) else mode
        elif line.startswith(("--- ", "+++ ", *_MOVES)):
            names.append(line)
    problem = ""
    if not _has_header(lines):
        problem = f"a part has no header of git's: {_name(lines[0])!r}"
    elif any(line.startswith(_MOVES) for line in names):
        problem = f"moves a file: {header.removeprefix(_GIT)}"
    elif not path or not all(_agrees(line, path, added, removed) for line in names):
        problem = f"a part names several files: {header.removeprefix(_GIT)!r}"
    return FilePatch(path, "".join(lines), added, removed, mode, problem)


def _agrees(line: str, path: str, added: bool, removed: bool) -> bool:
    """Whether a `---` or `+++` line names the file of its header."""
    if line.startswith("---"):
        return _name(line) == (NOTHING if added else f"a/{path}")
    return _name(line) == (NOTHING if removed else f"b/{path}")


def _name(line: str) -> str:
    """The name in a `---` or `+++` line: it ends at a tab, behind which a date may stand."""
    name = line[4:].rstrip("\n")
    if name.startswith('"'):
        return _unquote(name[1:].rpartition('"')[0])
    return name.partition("\t")[0]


def _path_of(header: str) -> str:
    """The path in `diff --git a/P b/P`, '' when it has other sides than these."""
    rest = header.removeprefix(_GIT)
    half = (len(rest) - 1) // 2
    old, new = rest[:half], rest[half + 1 :]
    if rest.startswith('"'):
        old, new = (_unquote(side[1:-1]) for side in (old, new))
    same = old[:2] == "a/" and new[:2] == "b/" and old[2:] == new[2:]
    return old[2:] if same and rest[half : half + 1] == " " else ""


_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def _unquote(text: str) -> str:
    """A path as git quotes it in C style, byte by byte."""
    out = bytearray()
    for octal, escape, plain in re.findall(r"\\([0-7]{3})|\\(.)|([^\\]+)", text):
        if octal:
            out.append(int(octal, 8) & 0xFF)
        elif escape:
            out.append(_ESCAPES.get(escape, ord(escape) & 0xFF))
        else:
            out += plain.encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


def _lines(text: str) -> list[str]:
    """Lines as git sees them, ended by a line feed and by nothing else."""
    return [line + "\n" for line in text.split("\n")[:-1]] + [text.rpartition("\n")[2]] * (
        not text.endswith("\n") and bool(text)
    )


def _unsafe(part: FilePatch) -> str:
    path = PurePosixPath(part.path)
    if path.is_absolute() or ".." in path.parts or "\0" in part.path or str(path) != part.path:
        return f"a path leaves the repository: {part.path!r}"
    if any(is_git_folder(piece) for piece in re.split(r"[/\\]", part.path)):
        return f"touches git's own files: {part.path!a}"
    if "\\" in part.path or any(unicodedata.category(c) in _HIDDEN for c in part.path):
        return f"a path has characters that deceive: {part.path!a}"
    if any(row.startswith("+") and "[REDACTED:" in row for row in _lines(part.text)):
        return f"writes a redaction mark into {part.path!r}: the line it replaces held a secret"
    if part.mode not in (None, *_FILE_MODES):
        return f"makes or changes a link or a special file: {part.path!r} (mode {part.mode})"
    if not part.removed and part.path.lower().endswith(_COMPILED):
        return f"brings compiled code: {part.path!r}"
    return ""
