"""Snapshots and patches of the workspace, in a git repository that commands cannot reach."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable
from typing import BinaryIO

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
SETTINGS = [
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "gc.auto=0",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.looseCompression=1",
    "pack.compression=1",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.splitIndex=false",
]
MOST_DIFF = 64 << 20
MOST_BYTES = 4 << 30


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
        }
        self.base = ""
        self.commit = ""
        self.trees: dict[str, Entries] = {}
        self.stored: set[str] = set()
        self.packs: list[str] = []
        self.ignoring: tuple[object, frozenset[bytes]] = (None, frozenset())
        self.most = MOST_BYTES
        os.mkdir(self.empty, 0o755)
        self.git("init", "-q", "--bare", "--template=", self.gitdir)
        self.env["GIT_DIR"] = self.gitdir
        self.env["GIT_WORK_TREE"] = self.empty
        self.env["GIT_INDEX_FILE"] = self.index

    def spawn(
        self, args: Iterable[str], cwd: str, env: dict[str, str], fds: tuple[int, int, int]
    ) -> int:
        """Start git with the commands' rights and the group that opens the private folder."""
        argv = ["git"]
        for setting in SETTINGS:
            argv += ["-c", setting]
        return spawn([*argv, *args], env, cwd, fds, lambda: self.person.become(private=True))

    def git(
        self,
        *args: str,
        stdin: bytes = b"",
        work: str | None = None,
        kind: str = "sandbox",
        good: tuple[int, ...] = (0,),
    ) -> bytes:
        """What git prints. Raises Refused of that kind with its complaint.

        git sees an empty work tree, so that no file of the workspace steers it, unless `work`.
        """
        env = dict(self.env, GIT_WORK_TREE=work) if work else self.env
        with self.file() as feed, self.file() as out, self.file() as err:
            write_all(feed.fileno(), stdin)
            feed.seek(0)
            fds = (feed.fileno(), out.fileno(), err.fileno())
            status = os.waitpid(self.spawn(args, work or self.empty, env, fds), 0)[1]
            return self.outcome(args[0], status, out, err, kind, good)

    @staticmethod
    def outcome(
        name: str, status: int, out: BinaryIO, err: BinaryIO, kind: str, good: tuple[int, ...]
    ) -> bytes:
        """Read what a finished git has left."""
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
        if code not in good:
            err.seek(0)
            complaint = err.read(4000).decode("utf-8", "replace").strip()
            if code == 127:
                complaint = "git is missing in the sandbox: install git on the host or in the image"
                kind = "sandbox"
            raise Refused(kind, complaint or f"git {name} ended with {code}")
        size = os.fstat(out.fileno()).st_size
        if size > MOST_DIFF and name == "diff-tree":
            raise Refused("sandbox", f"the diff has {size} bytes: remove large new files first")
        out.seek(0)
        return out.read()

    def file(self) -> BinaryIO:
        """A nameless file on the sandbox's own file system."""
        return tempfile.TemporaryFile(dir=self.private, buffering=0)

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
            for path, (mode, _) in entries.items():
                yield b"M %s inline %s\n" % (mode.encode(), quoted(path))
                yield from self.data(path, mode)
            yield b'ls ""\n'

        self.base = self.imported(stream(), "1").split()[2]
        self.commit = self.git("rev-parse", "refs/heads/main").decode().strip()
        self.trees[self.base] = entries
        self.stored = {oid for _, oid in entries.values()}
        packs = os.path.join(self.gitdir, "objects", "pack")
        self.packs = [name for name in os.listdir(packs) if name.endswith((".pack", ".idx"))]
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
        contents = {}
        for name in self.packs:
            with open(os.path.join(self.gitdir, "objects", "pack", name), "rb") as file:
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
        env = {"PATH": self.env["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
        with self.file() as sink:
            fds = (0, 1, sink.fileno())
            argv = ["git", "reset", "-q", "--mixed"]
            pid = spawn(argv, env, os.fsdecode(self.tree.root), fds, self.person.become)
            if os.waitpid(pid, 0)[1]:
                sink.seek(0)
                complaint = sink.read(4000).decode("utf-8", "replace").strip()
                raise Refused("sandbox", f"git cannot open the workspace: {complaint}")

    def visible(self) -> dict[bytes, os.stat_result]:
        """The files that belong to the repository: opened with it, or new and not ignored."""
        base = self.trees[self.base]
        with self.person.acting():
            found = dict(self.tree.walk())
            ignores = {
                path: status
                for path, status in found.items()
                if path.rpartition(b"/")[2] == b".gitignore" and stat.S_ISREG(status.st_mode)
            }
            self.check_size(ignores.values())
            rules = frozenset(
                (path, self.tree.entry(path, status)[1]) for path, status in ignores.items()
            )
        new = frozenset(path for path in found if path not in base)
        if new and self.ignoring[0] != (new, rules):
            out = self.git(
                "check-ignore",
                "--no-index",
                "-z",
                "--stdin",
                stdin=b"\0".join(new) + b"\0",
                work=os.fsdecode(self.tree.root),
                good=(0, 1),
            )
            self.ignoring = ((new, rules), frozenset(out.split(b"\0")))
        if new:
            found = {
                path: s for path, s in found.items() if path in base or path not in self.ignoring[1]
            }
        return found

    def check_size(self, found: Iterable[os.stat_result]) -> None:
        """Refuse to read more than the disk can hold: files of holes, or one under many names."""
        size = sum(status.st_size for status in found)
        if size > self.most:
            raise Refused("sandbox", f"the files have {size} bytes: remove large new files first")

    def entries(self) -> Entries:
        """Modes and object ids of the visible files."""
        found = self.visible()
        self.check_size(found.values())
        with self.person.acting():
            return {path: self.tree.entry(path, status) for path, status in found.items()}

    def snapshot(self) -> str:
        """Store the visible files; returns the tree's id."""
        now, base = self.entries(), self.trees[self.base]
        if now == base:
            return self.base

        def stream() -> Iterable[bytes]:
            yield b"commit refs/heads/now\ncommitter %s\ndata 8\nsnapshot\n" % AUTHOR
            yield b"from %s\n" % self.commit.encode()
            for path in base:
                if path not in now:
                    yield b"D %s\n" % quoted(path)
            for path, (mode, oid) in now.items():
                if base.get(path) == (mode, oid):
                    continue
                if oid in self.stored:
                    yield b"M %s %s %s\n" % (mode.encode(), oid.encode(), quoted(path))
                else:
                    yield b"M %s inline %s\n" % (mode.encode(), quoted(path))
                    yield from self.data(path, mode)
            yield b'ls ""\n'

        tree = self.imported(stream(), "100").split()[2]
        self.stored.update(oid for _, oid in now.values())
        self.trees[tree] = now
        return tree

    def known(self, snapshot: str) -> str:
        """The snapshot, if there is one of that name."""
        if snapshot not in self.trees:
            raise Refused("sandbox", f"{snapshot!r}: no such snapshot")
        return snapshot

    def restore(self, snapshot: str) -> None:
        """Put every file back, remove all others, and begin the visible repository anew."""
        target = self.trees[self.known(snapshot)]
        with self.person.acting():
            self.tree.clean(target)
            now, size = {}, 0
            for path, status in self.tree.walk():
                size += status.st_size
                if size <= self.most:
                    now[path] = self.tree.entry(path, status)
        changed = {path: entry for path, entry in target.items() if now.get(path) != entry}
        self.place(changed)
        self.show()

    def place(self, changed: Entries) -> None:
        """Write stored files into the workspace."""
        blobs = self.blobs({oid for _, oid in changed.values()})
        with self.person.acting():
            for path, (mode, oid) in changed.items():
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(self.tree.at(path))
                self.tree.create(path, mode, [blobs[oid]])

    def blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Contents from the store."""
        asked = list(oids)
        if not asked:
            return {}
        out = memoryview(self.git("cat-file", "--batch", stdin="\n".join([*asked, ""]).encode()))
        found, at = {}, 0
        for oid in asked:
            head = bytes(out[at : at + 80]).split(b"\n")[0]
            at += len(head) + 1
            size = int(head.split()[2])
            found[oid] = bytes(out[at : at + size])
            at += size + 1
        return found

    def diff(self, since: str | None) -> bytes:
        """Git's unified diff from a snapshot, or from the opening, to now."""
        before = self.known(since) if since else self.base
        after = self.snapshot()
        options = "-r -p --binary --full-index --no-renames --no-ext-diff --no-textconv --no-color"
        if before == after:
            return b""
        return self.git("diff-tree", *options.split(), before, after)

    def apply(self, patch: bytes) -> None:
        """Apply a patch to the visible files, wholly or not at all."""
        if not patch.strip():
            return
        before = self.snapshot()
        try:
            self.git("read-tree", before)
            self.git("apply", "--cached", "--whitespace=nowarn", "-", stdin=patch, kind="patch")
            after = self.git("write-tree").decode().strip()
        finally:
            for left in (self.index, self.index + ".lock"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(left)
        fields = self.git("diff-tree", "-r", "-z", "--no-renames", before, after).split(b"\0")
        changed: Entries = {}
        gone: list[bytes] = []
        for head, path in zip(fields[::2], fields[1::2]):  # noqa: B905
            mode, oid, letter = (field.decode() for field in head.split()[1::2] + head.split()[4:])
            if letter == "D":
                gone.append(path)
            elif mode == "160000":
                raise Refused("patch", f"{os.fsdecode(path)}: submodules cannot be patched")
            else:
                changed[path] = (mode, oid)
                where = self.tree.at(path)
                if letter == "A" and os.path.lexists(where) and not os.path.isdir(where):
                    raise Refused("patch", f"{os.fsdecode(path)}: already exists")
        old = {path: self.trees[before][path] for path in gone}
        old.update((p, self.trees[before][p]) for p in changed if p in self.trees[before])
        try:
            self.drop(gone)
            self.place(changed)
        except OSError as error:
            self.drop([path for path in changed if path not in old])
            self.place(old)
            raise Refused("patch", f"cannot write the patched files: {error.strerror}") from None

    def drop(self, paths: Iterable[bytes]) -> None:
        """Remove files, and the folders that this empties."""
        with self.person.acting():
            for path in paths:
                with contextlib.suppress(OSError):
                    os.unlink(self.tree.at(path))
                    while b"/" in path:
                        path = path.rpartition(b"/")[0]
                        os.rmdir(self.tree.at(path))


def quoted(path: bytes) -> bytes:
    """A path as git's fast-import reads it."""
    escaped = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'
