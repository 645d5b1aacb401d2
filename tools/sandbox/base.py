"""The vocabulary of sandboxes: a copy of the repository and a place to run commands on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

KilledBy = Literal["timeout", "memory", "output", "cpu", "processes"]

MIB = 1024 * 1024


class SandboxError(Exception):
    """The sandbox cannot be opened or has died. The message says what to do next."""


class PathError(SandboxError):
    """A path is missing, of the wrong kind, or leaves the workspace."""


class PatchError(SandboxError):
    """A patch does not apply to the workspace."""


@dataclass(frozen=True)
class Limits:
    """Ceilings of one command. Bytes and seconds; each is enforced on the whole process tree."""

    wall_seconds: float = 120.0
    cpu_seconds: int = 600
    memory_bytes: int = 4096 * MIB
    processes: int = 256
    file_bytes: int = 512 * MIB
    disk_bytes: int = 2048 * MIB
    output_bytes: int = 4 * MIB


@dataclass(frozen=True)
class File:
    """One file of the repository: `mode` is git's, `data` the bytes (a link's target)."""

    path: str
    data: bytes
    mode: Literal["100644", "100755", "120000"] = "100644"


@dataclass(frozen=True)
class Spec:
    """What a sandbox is opened with.

    `environment` is the host path of the Python environment (a venv or a prefix) that the
    tests run in: bound read-only by bubblewrap. `image` names a docker image. `hide` lists
    module names that must not be importable in `environment`. `root` is the repository's host
    path: editable installs in `environment` that lead there lead to the workspace instead.
    `modules` is the host path of a `node_modules`, which bubblewrap binds read-only above the
    workspace, where Node and npm look for packages as well.
    """

    environment: str | None = None
    image: str | None = None
    limits: Limits = field(default_factory=Limits)
    env: Mapping[str, str] = field(default_factory=dict)
    hide: tuple[str, ...] = ("agent", "tools", "policies")
    root: str | None = None
    modules: str | None = None


@dataclass(frozen=True)
class Result:
    """What a command did. stdout and stderr hold at most `output_bytes`; `cut` counts the rest."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    killed_by: KilledBy | None = None
    cut: int = 0


class Sandbox(Protocol):
    """A running sandbox. Paths are relative to the workspace, in POSIX form. `filtered` says
    whether a filter of the kernel's calls binds the commands.

    Every method raises SandboxError when the sandbox has died. After `run` returns, no
    process that the command started is alive.
    """

    name: str
    workspace: str
    python: str
    filtered: bool

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = ".",
    ) -> Result:
        """Run one command in the workspace; `timeout` in seconds, capped by the limits."""
        ...

    def read(self, path: str) -> bytes:
        """The bytes of a regular file; links are followed only inside the workspace.

        Raises PathError.
        """
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write a file atomically, making its folders; never through a link. Raises PathError."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file. Raises PathError."""
        ...

    def files(self) -> list[tuple[str, int]]:
        """Regular files with their sizes, sorted, without `.git` and ignored files."""
        ...

    def snapshot(self) -> str:
        """Remember the workspace (ignored files excepted); returns an id for restore and diff."""
        ...

    def restore(self, snapshot: str) -> None:
        """Put the workspace back to a snapshot. Ignored files are removed as well."""
        ...

    def diff(self, since: str | None = None) -> str:
        """Git-style unified diff of the workspace, against a snapshot or the state at opening."""
        ...

    def apply(self, patch: str) -> None:
        """Apply a unified diff to the workspace, wholly or not at all. Raises PatchError."""
        ...

    def place(self, name: str, data: bytes) -> str:
        """Put a read-only helper file outside the workspace; returns its path inside."""
        ...

    def close(self) -> None:
        """Kill everything inside and remove it. Safe to call twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
