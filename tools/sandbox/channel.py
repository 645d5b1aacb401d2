"""Our end of the channel to the process inside a sandbox, and the Sandbox made of it."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files as package_files
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, get_args

from tools.sandbox.base import (
    MIB,
    File,
    KilledBy,
    Limits,
    PatchError,
    PathError,
    Result,
    SandboxError,
    Spec,
)

T = TypeVar("T")
LENGTHS = struct.Struct(">II")
GRACE_SECONDS = 15.0
ANSWER_SECONDS = 120.0
BATCH_BYTES = 8 * MIB
MOST_BYTES = 1024 * MIB
MODULES = ("filter", "common", "memory", "processes", "tree", "history", "serve")
ERRORS: Mapping[str, type[SandboxError]] = {"path": PathError, "patch": PatchError}

BOOTSTRAP = """\
import os, sys, types, json
def take(n):
    s = b""
    while len(s) < n: s += os.read(0, n - len(s)) or os._exit(1)
    return s
for name, source in json.loads(take(int(take(10)))):
    m = types.ModuleType(name)
    m.__package__, m.__path__ = "inside", []
    sys.modules[name] = m
    exec(compile(source, name, "exec"), m.__dict__)
sys.modules["inside.serve"].serve()
"""


def supervisor() -> bytes:
    """The sources of the process inside, in the form that BOOTSTRAP reads."""
    folder = package_files("tools.sandbox") / "inside"
    named = [("inside", "")]
    named += [(f"inside.{name}", (folder / f"{name}.py").read_text("utf-8")) for name in MODULES]
    raw = json.dumps(named).encode()
    return b"%010d" % len(raw) + raw


def of(kind: type[T], value: object) -> T:
    """The value, of an answer that may hold anything. Raises ValueError."""
    if type(value) is not kind:
        raise ValueError(f"it answered with {type(value).__name__} instead of {kind.__name__}")
    return value


def result_of(reply: Mapping[str, Any], body: bytes) -> Result:
    """What a command did, from the reply about it. Raises ValueError."""
    split, seconds = of(int, reply.get("stdout")), of(float, reply.get("seconds"))
    killed_by = reply.get("killed_by")
    if not 0 <= split <= len(body) or not math.isfinite(seconds):
        raise ValueError("it answered with figures that cannot be")
    if killed_by is not None and killed_by not in get_args(KilledBy):
        raise ValueError(f"it answered that the command was killed by {killed_by!r}")
    return Result(
        exit_code=of(int, reply.get("exit_code")),
        stdout=body[:split],
        stderr=body[split:],
        seconds=seconds,
        killed_by=killed_by,
        cut=of(int, reply.get("cut")),
    )


class Transport(Protocol):
    """A stream to the process inside, and the power to end it."""

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it. Raises OSError."""
        ...

    def receive(self, deadline: float) -> bytes:
        """Some bytes; empty at the end. Raises OSError (TimeoutError past the deadline)."""
        ...

    def hang_up(self) -> None:
        """Close the stream: the process inside then ends by itself. Idempotent."""
        ...

    def destroy(self) -> None:
        """Make sure that nothing is left. Idempotent."""
        ...

    def complaint(self) -> str:
        """What the sandbox program printed, for an error message."""
        ...


def remaining(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


class SocketStream:
    """Sending and receiving on a socket with deadlines."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it."""
        view = memoryview(data)
        while view:
            self.sock.settimeout(remaining(deadline))
            view = view[self.sock.send(view[:MIB]) :]

    def receive(self, deadline: float) -> bytes:
        """Some bytes; empty at the end."""
        self.sock.settimeout(remaining(deadline))
        return self.sock.recv(MIB)


class Channel:
    """Requests and replies, one at a time. An interrupted exchange ends the sandbox."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.lock = threading.RLock()
        self.closed = False
        self.buffer = bytearray()

    def start(self) -> None:
        """Send the supervisor's sources."""
        with self.lock, self.guard():
            self.transport.send(supervisor(), time.monotonic() + ANSWER_SECONDS)

    def ask(
        self, head: Mapping[str, Any], body: bytes = b"", seconds: float = ANSWER_SECONDS
    ) -> tuple[dict[str, Any], bytes]:
        """The reply to a request. Raises SandboxError, or what the reply says."""
        with self.lock:
            if self.closed:
                raise SandboxError("the sandbox is closed: open another one")
            with self.guard():
                deadline = time.monotonic() + seconds + GRACE_SECONDS
                raw = json.dumps(head).encode()
                self.transport.send(LENGTHS.pack(len(raw), len(body)) + raw + body, deadline)
                size, more = LENGTHS.unpack(self.exactly(LENGTHS.size, deadline))
                if size + more > MOST_BYTES:
                    raise OSError("the answer is too large")
                reply: dict[str, Any] = of(dict, json.loads(self.exactly(size, deadline)))
                payload = self.exactly(more, deadline)
        if "error" in reply:
            kind = ERRORS.get(str(reply["error"]), SandboxError)
            raise kind(str(reply.get("message")))
        return reply, payload

    def exactly(self, size: int, deadline: float) -> bytes:
        """That many bytes."""
        while len(self.buffer) < size:
            data = self.transport.receive(deadline)
            if not data:
                raise ConnectionError("it ended unexpectedly")
            self.buffer += data
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Whatever interrupts an exchange, an answer late or wrong or Ctrl-C, ends the sandbox."""
        try:
            yield
        except (OSError, ValueError, RecursionError) as error:
            self.close()
            said = self.transport.complaint()
            raise SandboxError(
                f"the sandbox has died ({error}); open another one" + (f": {said}" if said else "")
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the sandbox."""
        self.closed = True
        self.transport.hang_up()
        self.transport.destroy()


class Session:
    """A sandbox over a channel: the Sandbox protocol."""

    def __init__(
        self, name: str, transport: Transport, spec: Spec, hello: Mapping[str, Any]
    ) -> None:
        self.name = name
        self.workspace: str = hello["workspace"]
        self.python = ""
        self.filtered = False
        self.limits: Limits = spec.limits
        self.channel = Channel(transport)
        self.channel.start()
        try:
            self.channel.ask({"limits": asdict(spec.limits), **hello})
        except BaseException:
            self.close()
            raise

    def fill(self, files: Iterable[File]) -> None:
        """Send the repository's files, in batches."""
        try:
            heads: list[tuple[str, str, int]] = []
            batch = bytearray()
            for file in files:
                heads.append((file.path, file.mode, len(file.data)))
                batch += file.data
                if len(batch) > BATCH_BYTES or len(heads) >= 2000:
                    self.channel.ask({"op": "put", "files": heads}, bytes(batch))
                    heads, batch = [], bytearray()
            self.channel.ask({"op": "put", "files": heads}, bytes(batch))
            reply, _ = self.channel.ask({"op": "begin"})
            with self.channel.guard():
                self.python = of(str, reply.get("python"))
                self.filtered = of(bool, reply.get("filtered"))
        except BaseException:
            self.close()
            raise

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = ".",
    ) -> Result:
        """Run one command in the workspace; see `Sandbox`. A signal N ends it with 128 + N."""
        if not argv or any("\0" in word for word in argv):
            raise SandboxError("a command needs a program name, and no NUL in its words")
        wall = (
            self.limits.wall_seconds if timeout is None else min(timeout, self.limits.wall_seconds)
        )
        head = {
            "op": "run",
            "argv": list(argv),
            "env": dict(env or {}),
            "cwd": cwd,
            "timeout": wall,
        }
        reply, body = self.channel.ask(head, stdin, wall)
        with self.channel.guard():
            return result_of(reply, body)

    def read(self, path: str) -> bytes:
        """The bytes of a regular file."""
        return self.channel.ask({"op": "read", "path": path})[1]

    def write(self, path: str, data: bytes) -> None:
        """Write a file atomically."""
        self.channel.ask({"op": "write", "path": path}, data)

    def remove(self, path: str) -> None:
        """Remove a file or a link."""
        self.channel.ask({"op": "remove", "path": path})

    def files(self) -> list[tuple[str, int]]:
        """Regular files with their sizes."""
        _, body = self.channel.ask({"op": "files"})
        with self.channel.guard():
            rows = [of(list, row) for row in of(list, json.loads(body))]
            return [(of(str, path), of(int, size)) for path, size in rows]

    def snapshot(self) -> str:
        """Remember the workspace."""
        return self.asked_text({"op": "snapshot"}, "snapshot")

    def restore(self, snapshot: str) -> None:
        """Put the workspace back."""
        self.channel.ask({"op": "restore", "snapshot": snapshot})

    def diff(self, since: str | None = None) -> str:
        """What has changed; bytes that are not UTF-8 come as surrogate escapes."""
        patch = self.channel.ask({"op": "diff", "since": since})[1]
        return patch.decode("utf-8", "surrogateescape")

    def apply(self, patch: str) -> None:
        """Apply a unified diff."""
        self.channel.ask({"op": "apply"}, patch.encode("utf-8", "surrogateescape"))

    def place(self, name: str, data: bytes) -> str:
        """Put a helper file outside the workspace."""
        return self.asked_text({"op": "place", "name": name}, "path", data)

    def asked_text(self, head: Mapping[str, Any], key: str, body: bytes = b"") -> str:
        """A text of the reply to a request."""
        reply, _ = self.channel.ask(head, body)
        with self.channel.guard():
            return of(str, reply.get(key))

    def close(self) -> None:
        """Kill everything inside and remove it."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


Opener = Callable[[Iterable[File], Spec], Session]
