"""Snapshots and patches of the workspace, in a git repository that commands cannot reach."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from typing import BinaryIO, Dict, FrozenSet, Iterable, List, Optional, Set, Tuple

from .common import Entries, Person, Refused, spawn, write_all
from .tree import Tree

AUTHOR = b"apprentice <apprentice@localhost> 946684800 +0000"
EXCLUDE = (
    b"__pycache__/\n*.py[co]\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.hypothesis/\n.coverage\n"
)
CONFIG = (
    b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
    b"[user]\n\tname = apprentice\n\temail = apprentice@localhost\n[gc]\n\tauto = 0\n"
)
SETTINGS = (
    "core.autocrlf=false core.attributesFile=/dev/null core.excludesFile=/dev/null gc.auto=0 "
    "core.hooksPath=/dev/null core.fsmonitor=false core.quotePath=false core.looseCompression=1 "
    "pack.compression=1 core.symlinks=true core.fileMode=true core.splitIndex=false"
).split()
MOST_DIFF = 64 << 20


class History:
    """The shadow repository: `base` is the tree of the opening, `trees` all that are known."""

    def __init__(self, tree: Tree, private: str, person: Person, path: str) -> None:
        self.tree = tree
        self.person = person
        self.private = private
        self.empty = os.path.join(private, "empty")
        self.gitdir = os.path.join(private, "shadow.git")
        self.index = os.path.join(private, "index")
        self.env = {
            "PATH": path,
            "HOME": self.empty,
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_DIR": self.gitdir,
            "GIT_WORK_TREE": self.empty,
            "GIT_INDEX_FILE": self.index,
        }
        self.base = ""
        self.commit = ""
        self.trees: Dict[str, Entries] = {}
        self.stored: Set[str] = set()
        self.ignoring: Tuple[object, FrozenSet[bytes]] = (None, frozenset())
        os.mkdir(self.empty, 0o755)
        self.git("init", "-q", "--bare", "--template=", self.gitdir)
        with self.person.acting():
            os.mkdir(self.tree.at(b".git"), 0o755)

    def spawn(self, args: Iterable[str], cwd: str, env: Dict[str, str], fds: Tuple[int, int, int]) -> int:
        """Start git with the commands' rights and the group that opens the private folder."""
        argv = ["git"]
        for setting in SETTINGS:
            argv += ["-c", setting]
        groups = [self.person.group] if env is not None else []
        return spawn([*argv, *args], env, cwd, fds, lambda: self.person.become(groups))

    def git(
        self,
        *args: str,
        stdin: bytes = b"",
        cwd: Optional[str] = None,
        work: Optional[str] = None,
        kind: str = "sandbox",
        good: Tuple[int, ...] = (0,),
    ) -> bytes:
        """What git prints. Raises Refused of that kind with its complaint."""
        env = dict(self.env, GIT_WORK_TREE=work) if work else self.env
        with self.file() as feed, self.file() as out, self.file() as err:
            write_all(feed.fileno(), stdin)
            feed.seek(0)
            pid = self.spawn(args, cwd or work or self.empty, env, (feed.fileno(), out.fileno(), err.fileno()))
            status = os.waitpid(pid, 0)[1]
            return self.outcome(args[0], status, out, err, kind, good)

    @staticmethod
    def outcome(
        name: str, status: int, out: BinaryIO, err: BinaryIO, kind: str, good: Tuple[int, ...]
    ) -> bytes:
        """Read what a finished git has left."""
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
        if code not in good:
            err.seek(0)
            complaint = err.read(4000).decode("utf-8", "replace").strip()
            if code == 127:
                complaint = "git is missing in the sandbox: install git on the host or in the image"
                kind = "sandbox"
            raise Refused(kind, complaint or "git %s ended with %d" % (name, code))
        size = os.fstat(out.fileno()).st_size
        if size > MOST_DIFF and name == "diff-tree":
            raise Refused("sandbox", "the diff has %d bytes: remove large new files first" % size)
        out.seek(0)
        return out.read()

    def file(self) -> BinaryIO:
        """A nameless file on the sandbox's own file system."""
        return tempfile.TemporaryFile(dir=self.private, buffering=0)  # type: ignore[return-value]

    def imported(self, parts: Iterable[bytes], limit: str) -> str:
        """Feed git fast-import; returns what it prints."""
        read_end, write_end = os.pipe()
        with self.file() as out, self.file() as err:
            args = ["-c", "fastimport.unpackLimit=" + limit, "fast-import", "--quiet", "--force"]
            pid = self.spawn(args, self.empty, self.env, (read_end, out.fileno(), err.fileno()))
            os.close(read_end)
            try:
                with contextlib.suppress(BrokenPipeError):
                    for part in parts:
                        write_all(write_end, part)
            finally:
                os.close(write_end)
                status = os.waitpid(pid, 0)[1]
            return self.outcome("fast-import", status, out, err, "sandbox", (0,)).decode()

    def begin(self, entries: Entries) -> None:
        """Record the opening tree and make the repository that commands see."""

        def stream() -> Iterable[bytes]:
            yield b"commit refs/heads/main\ncommitter %s\ndata 8\nsnapshot\n" % AUTHOR
            for path, (mode, oid) in entries.items():
                yield b"M %s inline %s\n" % (mode.encode(), quoted(path))
                yield from self.data(path, mode)
            yield b'ls ""\n'

        with self.person.acting():
            pass
        self.base = self.imported(stream(), "1").split()[2]
        self.commit = self.git("rev-parse", "refs/heads/main").decode().strip()
        self.trees[self.base] = entries
        self.stored = {oid for _, oid in entries.values()}
        self.show()

    def data(self, path: bytes, mode: str) -> Iterable[bytes]:
        """A file's content in the form that fast-import reads."""
        with self.person.acting():
            size = os.lstat(self.tree.at(path)).st_size
            yield b"data %d\n" % size
            yield from self.tree.pieces(path, mode)
            yield b"\n"

    def show(self) -> None:
        """Make the workspace's own repository: one commit that holds the opening tree."""
        packs = os.path.join(self.gitdir, "objects", "pack")
        contents = {}
        for name in os.listdir(packs):
            if name.endswith((".pack", ".idx")) and name in self.first_pack(packs):
                with open(os.path.join(packs, name), "rb") as file:
                    contents["objects/pack/" + name] = file.read()
        contents["HEAD"] = b"ref: refs/heads/main\n"
        contents["config"] = CONFIG
        contents["info/exclude"] = EXCLUDE
        contents["refs/heads/main"] = self.commit.encode() + b"\n"
        top = self.tree.at(b".git")
        with self.person.acting():
            if os.path.islink(top) or not os.path.isdir(top):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(top)
            else:
                self.tree.destroy(b".git")
            for name, data in contents.items():
                where = os.path.join(os.fsdecode(top), name)
                os.makedirs(os.path.dirname(where), exist_ok=True)
                with open(where, "wb") as file:
                    file.write(data)
