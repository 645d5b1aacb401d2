"""What the parts of the process inside share: users, children, names.

The private folder (snapshots, sources of helpers) is kept from commands in one of two ways: they
run as another user when we are root and may change, or a mount of their own covers it when we are
one user only. Where neither is allowed (a container of a single user id, a system whose security
module refuses mounts in user namespaces, no sandbox at all), the sandbox still works, but a
hostile command of the same user can reach that folder and forge the history of the workspace.
The host is not in danger from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .filter import install, own_program

if TYPE_CHECKING:
    Entries = dict[bytes, tuple[str, str]]
    Frame = tuple[dict[str, Any], bytes]
else:
    Entries, Frame = dict, tuple

SET_PDEATHSIG, SET_DUMPABLE, SET_CHILD_SUBREAPER, SET_NO_NEW_PRIVS = 1, 4, 36, 38


class Refused(Exception):
    """A request that cannot be met; `kind` names the client's exception."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def prctl(option: int, value: int) -> None:
    """Linux's prctl; nothing where the system has none."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def checked(result: int) -> None:
    """Raise OSError when a call of the C library has failed."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def conceal(private: str, tools: str) -> None:
    """In a fresh child that is our own user: cover the private folder, show its `tools` elsewhere,
    read-only, and give up the right to mount. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    read_only, remount, bind, new_mounts, safe = 1, 32, 4096, 0x20000, 2 | 4
    inner, there = os.fsencode(os.path.join(private, "tools")), os.fsencode(tools)
    checked(libc.unshare(new_mounts))
    checked(libc.mount(inner, there, None, bind, None))
    checked(libc.mount(None, there, None, bind | remount | read_only | safe, None))
    options = b"size=4k,mode=0555"
    checked(libc.mount(b"tmpfs", os.fsencode(private), b"tmpfs", read_only | safe, options))


def drop_capabilities() -> None:
    """Give up every capability. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    checked(ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()))


def works(action: Callable[[], None]) -> bool:
    """Whether something may be done here: tried in a child."""
    pid = os.fork()
    if not pid:
        try:
            action()
        finally:
            os._exit(int(sys.exc_info()[0] is not None))
    return not os.waitpid(pid, 0)[1]


def filters(code: bytes) -> bool:
    """Whether this kernel lets a process be bound by a filter, and there is one."""

    def bind() -> None:
        prctl(SET_NO_NEW_PRIVS, 1)
        install(code)

    return bool(code) and works(bind)


def parts_of(path: str) -> list[bytes]:
    """The components of a path below the workspace."""
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeError:
        raise Refused("path", f"{path!r}: not a file name") from None
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if b"\0" in raw or raw.startswith(b"/") or b".." in parts:
        raise Refused("path", f"{path!r}: leaves the workspace; give a path relative to it")
    if b".git" in parts:
        raise Refused("path", f"{path!r}: belongs to git")
    return parts


def hung_up(fd: int) -> bool:
    """Whether the other end of a pipe or socket is gone."""
    poll = select.poll()
    poll.register(fd, select.POLLHUP | select.POLLRDHUP)
    return bool(poll.poll(0))


def write_all(fd: int, data: bytes) -> None:
    """Write all of it to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def lower_priority(pid: str = "self") -> bool:
    """Give a session the least weight against other sessions; False when asked too early."""
    try:
        fd = os.open(f"/proc/{pid}/autogroup", os.O_WRONLY)
    except OSError:
        return True
    try:
        os.write(fd, b"19")
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(fd)
    return True


class Person:
    """Whom commands run as: another user if we are root and may change, else ourselves.

    `lifeline` is a descriptor whose other end the client holds, if we are to die with it.
    """

    def __init__(self, wanted: int | None, lifeline: int | None) -> None:
        self.lifeline = lifeline
        self.program = own_program() if os.getpid() == 1 else b""
        if not filters(self.program):
            self.program = b""
        self.concealed: tuple[str, str] | None = None
        self.uid = os.geteuid()
        self.other = False
        if self.uid == 0 and wanted != 0:
            with contextlib.suppress(OSError, ValueError):
                with open("/proc/self/uid_map") as table:
                    ceiling = max(int(i) + int(n) for i, _, n in map(str.split, table))
                low = 1 << 30 if ceiling > 1 << 31 else 20000
                spread = int.from_bytes(os.urandom(4), "big") % min(1 << 29, ceiling - low - 2)
                self.uid = wanted or low + spread
                os.setgroups([])
                os.setegid(self.uid)
                os.seteuid(self.uid)
                self.other = True
            os.seteuid(0)
            os.setegid(0)
            if not self.other:
                self.uid = 0
        self.protect()

    def protect(self) -> None:
        """Keep commands from tracing us, and stay bound to our parent's life.

        A change of user undoes both; a parent that died meanwhile sends no signal any more.
        """
        prctl(SET_DUMPABLE, 0)
        if self.lifeline is not None:
            prctl(SET_PDEATHSIG, signal.SIGKILL)
            if hung_up(self.lifeline):
                os._exit(0)

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """Touch files with the commands' rights, no more."""
        if not self.other:
            yield
            return
        os.setegid(self.uid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            self.protect()

    @property
    def group(self) -> int:
        """The group that opens the private folder; no command is in it."""
        return self.uid + 1

    def try_concealing(self, private: str, tools: str) -> None:
        """Hide the private folder from commands that are our own user, where we may."""
        self.concealed = private, tools
        if not works(self.become):
            self.concealed = None

    def become(self, private: bool = False) -> None:
        """Turn a fresh child into the commands' user, for good."""
        prctl(SET_NO_NEW_PRIVS, 1)
        if self.concealed:
            if not private:
                conceal(*self.concealed)
            drop_capabilities()
        if self.other:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups([self.group] if private else [])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        install(self.program)


def spawn(
    argv: Sequence[str],
    env: dict[str, str],
    cwd: str,
    fds: Sequence[int],
    prepare: Callable[[], None],
) -> int:
    """Fork and execute; the child's descriptors 0, 1 and 2 are `fds`."""
    pid = os.fork()
    if pid:
        return pid
    code = 126
    try:
        os.setsid()
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o022)
        prepare()
        os.chdir(cwd)
        os.execvpe(argv[0], list(argv), env)  # noqa: S606
    except (FileNotFoundError, NotADirectoryError):
        code = 127
        os.write(2, (f"{argv[0]}: command not found\n").encode("utf-8", "replace"))
    except BaseException as error:
        os.write(2, (f"{argv[0]}: {error}\n").encode("utf-8", "replace"))
    finally:
        os._exit(code)
