"""The files of the workspace, touched with the commands' rights and never through links."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator

from .common import Entries, Person, Refused, parts_of, spawn, write_all

CHUNK = 1 << 20
MOST_NAMES = 64 << 20
RACY_NS = 100_000_000
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """The workspace folder. Callers hold `person.acting()`."""

    def __init__(self, root: str, person: Person) -> None:
        self.root = os.fsencode(root)
        self.person = person
        self.hashes: dict[bytes, tuple[tuple[int, ...], str]] = {}

    def at(self, path: bytes) -> bytes:
        """The absolute form of a path below the workspace."""
        return os.path.join(self.root, path) if path else self.root

    def folder(self, parts: Iterable[bytes], make: bool = False) -> int:
        """A descriptor of a folder, walked to without following a link."""
        fd = os.open(self.root, FOLDER_FLAGS)
        for part in parts:
            try:
                try:
                    inner = os.open(part, FOLDER_FLAGS, dir_fd=fd)
                except FileNotFoundError:
                    if not make:
                        raise
                    os.mkdir(part, 0o755, dir_fd=fd)
                    inner = os.open(part, FOLDER_FLAGS, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
        return fd

    def create(self, path: bytes, mode: str, data: Iterable[bytes]) -> str:
        """Make a file or link that does not exist; returns its git object id."""
        *folders, name = path.split(b"/")
        fd = self.folder(folders, make=True)
        try:
            if mode == "120000":
                target = b"".join(data)
                os.symlink(target, name, dir_fd=fd)
                return blob_id(len(target), [target])
            permissions = 0o755 if mode == "100755" else 0o644
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            out = os.open(name, flags, permissions, dir_fd=fd)
            try:
                os.fchmod(out, permissions)
                pieces = list(data)
                for piece in pieces:
                    write_all(out, piece)
            finally:
                os.close(out)
            return blob_id(sum(map(len, pieces)), pieces)
        finally:
            os.close(fd)

    def read(self, path: str, most: int) -> bytes:
        """The bytes of a regular file; links are followed inside the workspace only."""
        try:
            real = os.path.realpath(self.at(b"/".join(parts_of(path))))
            if not real.startswith(self.root + b"/"):
                raise Refused("path", f"{path}: leads out of the workspace")
            parts_of(os.fsdecode(real[len(self.root) + 1 :]))
            fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode):
                    kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
                    raise Refused("path", f"{path}: {kind}")
                if found.st_size > most:
                    raise Refused("path", f"{path}: {found.st_size} bytes, too large")
                return file.read()
        except OSError as error:
            raise Refused("path", f"{path}: {error.strerror}") from None

    def write(self, path: str, data: bytes) -> None:
        """Replace or make a file in one step."""
        parts = parts_of(path)
        if not parts:
            raise Refused("path", f"{path!r}: names no file")
        try:
            fd = self.folder(parts[:-1], make=True)
            try:
                old = self.regular(fd, parts[-1], path)
                mode = stat.S_IMODE(old.st_mode) & 0o777 if old else 0o644
                spare = b".apprentice-" + os.urandom(8).hex().encode()
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                out = os.open(spare, flags, 0o600, dir_fd=fd)
                try:
                    try:
                        write_all(out, data)
                        os.fchmod(out, mode)
                    finally:
                        os.close(out)
                    os.rename(spare, parts[-1], src_dir_fd=fd, dst_dir_fd=fd)
                except OSError:
                    os.unlink(spare, dir_fd=fd)
                    raise
            finally:
                os.close(fd)
        except OSError as error:
            raise Refused("path", f"{path}: {error.strerror}") from None

    def remove(self, path: str) -> None:
        """Remove a file or a link, not what the link leads to."""
        parts = parts_of(path)
        if not parts:
            raise Refused("path", f"{path!r}: names no file")
        try:
            fd = self.folder(parts[:-1])
            try:
                os.unlink(parts[-1], dir_fd=fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise Refused("path", f"{path}: {error.strerror}") from None

    @staticmethod
    def regular(fd: int, name: bytes, path: str) -> os.stat_result | None:
        """The status of a regular file in a folder, or None where there is nothing."""
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            raise Refused("path", f"{path}: is a link; write to the file it leads to")
        if not stat.S_ISREG(found.st_mode):
            raise Refused("path", f"{path}: exists and is not a regular file")
        return found

    def listing(self, folder: bytes) -> list[os.DirEntry[bytes]]:
        """The entries of a folder; one that a command has closed is opened again."""
        try:
            with os.scandir(self.at(folder)) as entries:
                return list(entries)
        except PermissionError:
            with contextlib.suppress(OSError):
                os.chmod(self.at(folder), 0o755)  # noqa: S103
                with os.scandir(self.at(folder)) as entries:
                    return list(entries)
        except OSError:
            pass
        return []

    def walk(self) -> Iterator[tuple[bytes, os.stat_result]]:
        """Every regular file and link outside `.git` folders.

        Raises Refused when their paths alone would take much memory.
        """
        stack = [b""]
        size = 0
        while stack:
            folder = stack.pop()
            for entry in self.listing(folder):
                path = folder + b"/" + entry.name if folder else entry.name
                size += len(path)
                if size > MOST_NAMES:
                    raise Refused("sandbox", "too many files with long paths: remove some first")
                if entry.name == b".git":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    stack.append(path)
                elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(OSError):
                        yield path, entry.stat(follow_symlinks=False)

    def pieces(self, path: bytes, mode: str) -> Iterator[bytes]:
        """The content of a file or link as git stores it."""
        where = self.at(path)
        if mode == "120000":
            yield os.readlink(where)
            return
        try:
            fd = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except PermissionError:
            os.chmod(where, 0o755 if mode == "100755" else 0o644)
            fd = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            while True:
                piece = file.read(CHUNK)
                if not piece:
                    return
                yield piece

    def entry(self, path: bytes, found: os.stat_result) -> tuple[str, str]:
        """Mode and object id of a file; hashed again only when its status has changed."""
        mode = "100755" if found.st_mode & 0o100 else "100644"
        if stat.S_ISLNK(found.st_mode):
            mode = "120000"
        mark = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)
        known = self.hashes.get(path)
        if known and known[0] == mark:
            return mode, known[1]
        now = time.time_ns()
        oid = blob_id(found.st_size, self.pieces(path, mode))
        if found.st_ctime_ns < now - RACY_NS:
            self.hashes[path] = (mark, oid)
        return mode, oid

    def clean(self, keep: Entries) -> None:
        """Remove all but the files to keep and the folders that hold them."""
        folders = {b""}
        for path in keep:
            while path not in folders:
                path = path.rpartition(b"/")[0]
                if path in folders:
                    break
                folders.add(path)
        stack = [b""]
        while stack:
            folder = stack.pop()
            if not os.access(self.at(folder), os.W_OK | os.X_OK, effective_ids=True):
                os.chmod(self.at(folder), 0o755)  # noqa: S103
            for entry in self.listing(folder):
                path = folder + b"/" + entry.name if folder else entry.name
                if path == b".git":
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    if path not in keep:
                        os.unlink(self.at(path))
                elif path in folders:
                    stack.append(path)
                else:
                    self.destroy(path)

    def destroy(self, path: bytes) -> None:
        """Remove a folder, however deep or closed it is."""
        try:
            shutil.rmtree(self.at(path))
        except (OSError, RecursionError):
            script = 'chmod -R u+rwx "$1"; rm -rf "$1"'
            argv = ["sh", "-c", script, "sh", os.fsdecode(self.at(path))]
            env = {"PATH": os.defpath}
            pid = spawn(argv, env, "/", (0, 1, 2), self.person.become)
            os.waitpid(pid, 0)


def blob_id(size: int, pieces: Iterable[bytes]) -> str:
    """The id that git gives to these bytes."""
    digest = hashlib.sha1(b"blob %d\0" % size)  # noqa: S324
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
