"""The server of one sandbox: frames in, operations, frames out."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import struct
from typing import Any, NoReturn

from .common import Entries, Frame, Person, Refused, parts_of, write_all
from .history import History
from .processes import Processes
from .tree import Tree

LENGTHS = struct.Struct(">II")


def receive(fd: int) -> Frame:
    """The next frame. Raises EOFError at the end."""

    def exactly(size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = os.read(fd, min(size - len(data), 1 << 20))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    head, body = LENGTHS.unpack(exactly(LENGTHS.size))
    return json.loads(exactly(head)), exactly(body)


def send(fd: int, head: dict[str, Any], body: bytes) -> None:
    """Write one frame."""
    raw = json.dumps(head).encode()
    write_all(fd, LENGTHS.pack(len(raw), len(body)) + raw + body)


class Server:
    """Answers requests; each method is an operation named by the request's `op`."""

    def __init__(self, hello: dict[str, Any], control: int, wake: int) -> None:
        self.person = Person(hello.get("uid"), control if hello.get("bound") else None)
        self.workspace = hello["workspace"]
        self.home = hello["home"]
        folders = (self.workspace, self.home, "/tmp", "/dev/shm")  # noqa: S108
        self.processes = Processes(self.person, control, wake, folders)
        self.scratch: str | None = hello.get("scratch")
        self.env: dict[str, str] = hello["env"]
        self.env.setdefault("PATH", os.environ.get("PATH", os.defpath))
        self.limits: dict[str, Any] = hello["limits"]
        self.python = hello.get("python") or "python3"
        for candidate in hello.get("pythons", ()):
            if os.access(candidate, os.X_OK):
                self.python = candidate
                self.env["PATH"] = os.path.dirname(candidate) + ":" + self.env["PATH"]
                self.env["VIRTUAL_ENV"] = os.path.dirname(os.path.dirname(candidate))
                break
        self.tools = os.path.join(self.home, "tools")
        private = os.path.join(self.home, "private")
        os.umask(0o022)
        os.mkdir(self.tools, 0o755)
        os.mkdir(private, 0o770)
        if self.person.other:
            os.chown(private, 0, self.person.group)
            os.chmod(private, 0o770)  # noqa: S103
            os.chown(self.workspace, self.person.uid, self.person.uid)
        elif hello.get("bound"):
            os.mkdir(os.path.join(private, "tools"), 0o755)
            self.person.try_concealing(private, self.tools)
        hidden = os.path.join(private, "tools")
        self.helpers = hidden if self.person.concealed else self.tools
        self.tree = Tree(self.workspace, self.person)
        self.history = History(self.tree, private, self.person, self.env["PATH"])
        self.history.most = 2 * self.limits["disk_bytes"]
        self.opening: Entries = {}

    def put(self, head: dict[str, Any], body: bytes) -> Frame:
        """Lay files of the repository into the empty workspace."""
        at = 0
        view = memoryview(body)
        with self.person.acting():
            for path, mode, size in head["files"]:
                data = bytes(view[at : at + size])
                at += size
                name = b"/".join(parts_of(path))
                try:
                    self.opening[name] = (mode, self.tree.create(name, mode, [data]))
                except OSError as error:
                    raise Refused("path", f"{path}: {error.strerror}") from None
        return {}, b""

    def begin(self, head: dict[str, Any], body: bytes) -> Frame:
        """Record what has been put as the state at opening."""
        self.history.begin(self.opening)
        self.processes.opened(self.limits["disk_bytes"])
        reply = {"python": self.python, "filtered": bool(self.person.program)}
        return dict(reply, base=self.history.base, apart=self.person.other), b""

    def run(self, head: dict[str, Any], body: bytes) -> Frame:
        """Run a command."""
        with self.person.acting():
            cwd = os.path.realpath(
                os.path.join(self.workspace, os.fsdecode(b"/".join(parts_of(head["cwd"]))))
            )
            if not os.path.isdir(cwd) or not (cwd + "/").startswith(self.workspace + "/"):
                raise Refused(
                    "path", "{}: no folder of the workspace to run in".format(head["cwd"])
                )
        env = dict(self.env, **head["env"])
        request = dict(head, cwd=cwd, env=env, limits=self.limits)
        return self.processes.run(request, body)

    def read(self, head: dict[str, Any], body: bytes) -> Frame:
        """A file's bytes."""
        with self.person.acting():
            return {}, self.tree.read(head["path"], self.limits["file_bytes"])

    def write(self, head: dict[str, Any], body: bytes) -> Frame:
        """Write a file."""
        with self.person.acting():
            self.tree.write(head["path"], body)
        return {}, b""

    def remove(self, head: dict[str, Any], body: bytes) -> Frame:
        """Remove a file."""
        with self.person.acting():
            self.tree.remove(head["path"])
        return {}, b""

    def files(self, head: dict[str, Any], body: bytes) -> Frame:
        """Regular files and their sizes."""
        found = [
            (path.decode("utf-8", "surrogateescape"), status.st_size)
            for path, status in sorted(self.history.visible().items())
            if (status.st_mode & 0o170000) == 0o100000
        ]
        return {}, json.dumps(found).encode()

    def snapshot(self, head: dict[str, Any], body: bytes) -> Frame:
        """Remember the workspace."""
        return {"snapshot": self.history.snapshot()}, b""

    def restore(self, head: dict[str, Any], body: bytes) -> Frame:
        """Go back to a snapshot."""
        self.history.restore(head["snapshot"])
        return {}, b""

    def diff(self, head: dict[str, Any], body: bytes) -> Frame:
        """What has changed."""
        return {}, self.history.diff(head["since"])

    def apply(self, head: dict[str, Any], body: bytes) -> Frame:
        """Apply a patch."""
        self.history.apply(body)
        return {}, b""

    def place(self, head: dict[str, Any], body: bytes) -> Frame:
        """Put a helper file where commands can read it."""
        name = head["name"]
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise Refused("path", f"{name!r}: not a plain file name")
        where = os.path.join(self.helpers, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(where)
        out = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o555)
        try:
            write_all(out, body)
        finally:
            os.close(out)
        return {"path": os.path.join(self.tools, name)}, b""

    def leave(self) -> NoReturn:
        """Kill what runs, remove what is ours, and exit."""
        if not self.processes.init:
            self.processes.sweep()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        os._exit(0)


OPERATIONS = frozenset(
    [
        "put",
        "begin",
        "run",
        "read",
        "write",
        "remove",
        "files",
        "snapshot",
        "restore",
        "diff",
        "apply",
        "place",
    ]
)


def channel() -> tuple[int, int, int]:
    """Move our streams where no child inherits them: input, output, and the child signal."""
    fds = tuple(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (0, 1))
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    read_end, write_end = os.pipe()
    for fd in (read_end, write_end):
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return fds[0], fds[1], read_end


def serve() -> NoReturn:
    """Answer requests until the input ends."""
    source, sink, wake = channel()
    server: Server | None = None
    try:
        while True:
            head, body = receive(source)
            try:
                if server is None:
                    server = Server(head, source, wake)
                    reply: Frame = {}, b""
                elif head["op"] in OPERATIONS:
                    reply = getattr(server, head["op"])(head, body)
                else:
                    break
            except Refused as refusal:
                reply = {"error": refusal.kind, "message": str(refusal)}, b""
            except EOFError:
                raise
            except Exception as error:
                message = f"{head.get('op', 'opening')}: {type(error).__name__}: {error}"
                reply = {"error": "sandbox", "message": message}, b""
            send(sink, *reply)
    except (EOFError, OSError):
        pass
    if server is not None:
        server.leave()
    os._exit(0)
