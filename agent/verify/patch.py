"""A candidate's diff, taken apart by file and checked before anything is done with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.verify.protected import is_protected

MAX_PATCH_BYTES = 512 * 1024
MAX_PATCH_FILES = 50


@dataclass(frozen=True)
class FilePatch:
    """The part of a diff about one file: the raw text and what it does."""

    path: str
    text: str
    added: bool
    removed: bool
    mode: str | None


@dataclass(frozen=True)
class Split:
    """A diff split into what may be applied, and what was found on the way."""

    allowed: tuple[FilePatch, ...]
    dropped: tuple[str, ...]
    findings: tuple[str, ...]

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


def split(diff: str, protected: Sequence[str] = ()) -> Split:
    """Split a git diff. New test files are dropped; changed protected files are findings."""
    findings: list[str] = []
    if len(diff.encode("utf-8", "surrogateescape")) > MAX_PATCH_BYTES:
        return Split((), (), (f"the patch is larger than {MAX_PATCH_BYTES // 1024} KiB",))
    parts = _parts(diff)
    if len(parts) > MAX_PATCH_FILES:
        return Split((), (), (f"the patch touches {len(parts)} files",))
    allowed: list[FilePatch] = []
    dropped: list[str] = []
    for part in parts:
        problem = _unsafe(part)
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


def _parts(diff: str) -> list[FilePatch]:
    chunks: list[list[str]] = []
    for line in _lines(diff):
        if line.startswith("diff --git "):
            chunks.append([])
        if chunks:
            chunks[-1].append(line)
    return [_part(lines) for lines in chunks]


def _part(lines: list[str]) -> FilePatch:
    header = lines[0].rstrip("\n")
    path, mode = _path_of(header), None
    added = removed = False
    for line in lines[1:]:
        if line.startswith(("@@", "GIT binary patch")):
            break
        if line.startswith("new file mode "):
            added, mode = True, line.split()[-1]
        elif line.startswith("deleted file mode "):
            removed = True
        elif line.startswith("new mode "):
            mode = line.split()[-1]
    return FilePatch(path, "".join(lines), added, removed, mode)


def _path_of(header: str) -> str:
    """The path in `diff --git a/P b/P`; both sides are the same, since renames are off."""
    rest = header[len("diff --git ") :]
    if rest.startswith('"'):
        return _unquote(rest[1 : (len(rest) - 1) // 2 - 1])[2:]
    return rest[2 : (len(rest) - 1) // 2]


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
    if not part.path or path.is_absolute() or ".." in path.parts or "\0" in part.path:
        return f"a path leaves the repository: {part.path!r}"
    if any(piece.lower() == ".git" for piece in path.parts):
        return f"touches git's own files: {part.path!r}"
    if any(row.startswith("+") and "[REDACTED:" in row for row in _lines(part.text)):
        return f"writes a redaction mark into {part.path!r}: the line it replaces held a secret"
    if part.mode is not None and part.mode not in ("100644", "100755"):
        return f"makes a link or a special file: {part.path!r} (mode {part.mode})"
    return ""
