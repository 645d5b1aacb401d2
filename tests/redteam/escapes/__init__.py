"""Ways out of a sandbox, and past what reads a hostile repository on the host: one a module.

A module says in its docstring what is tried, and has one of

- `SCRIPT` (Python, run inside as the commands' user, after `PRELUDE`) and `held(result, sandbox,
  host)`, which asserts that nothing came of it;
- `attack(sandbox, host)`, for what is tried through the sandbox's own methods;
- `on_host(make, folder)`, for what is tried without a sandbox: `make` makes a git repository of
  `{path: text}`, `folder` is empty.

`LIMITS` replaces limits, `SECONDS` the timeout; `HEAVY = True` asks that the host is probed while
the script runs. `test_escapes.py` runs them all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from socket import AF_INET6, AF_UNIX, SOCK_DGRAM, socket

from tools.sandbox.base import Result, Sandbox, SandboxError

PRELUDE = """
import ctypes, os, platform, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, action, *arguments):
    try:
        print(name, "DONE", action(*arguments), flush=True)
    except (Exception, SystemExit) as error:
        print(name, "refused:", str(error) or type(error).__name__, flush=True)
def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def call(x86, arm, *arguments):
    number = x86 if platform.machine() == "x86_64" else arm
    return checked(libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))
"""


@dataclass(frozen=True)
class Host:
    """What an attack would like to reach: `folder` is open to everyone and holds a file with the
    secret, which is in our environment as well; whoever talks to us leaves a knock."""

    folder: Path
    secret: str = field(default_factory=lambda: f"secret-{token_hex(16)}")
    abstract: str = field(default_factory=lambda: f"apprentice-{token_hex(8)}")
    ports: list[int] = field(default_factory=list)
    knocks: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What a script is told of us."""
        return {
            "HOST_FOLDER": str(self.folder),
            "HOST_ABSTRACT": self.abstract,
            "HOST_TCP": str(self.ports[0]),
            "HOST_UDP": str(self.ports[1]),
        }


@contextmanager
def listening(folder: Path) -> Iterator[Host]:
    """A host that listens on TCP and UDP of all its addresses, and on an abstract socket."""
    host = Host(folder)
    (folder / "secret").write_text(host.secret)
    folder.chmod(0o777)
    with ExitStack() as stack:
        tcp, udp = (
            stack.enter_context(socket(AF_INET6)),
            stack.enter_context(socket(AF_INET6, SOCK_DGRAM)),
        )
        unix = stack.enter_context(socket(AF_UNIX))
        for server in (tcp, udp):
            server.bind(("::", 0))
            host.ports.append(server.getsockname()[1])
        unix.bind(f"\0{host.abstract}")
        ended = threading.Event()

        def wait(server: socket, name: str) -> None:
            server.settimeout(0.05)
            while not ended.is_set():
                try:
                    if name == "udp":
                        server.recv(100)
                    else:
                        server.accept()[0].close()
                except TimeoutError:
                    continue
                host.knocks.append(name)

        named = {"tcp": tcp, "udp": udp, "abstract": unix}
        threads = [threading.Thread(target=wait, args=(s, n)) for n, s in named.items()]
        for server in (tcp, unix):
            server.listen()
        for thread in threads:
            thread.start()
        try:
            yield host
        finally:
            ended.set()
            for thread in threads:
                thread.join()


def refused(result: Result, least: int = 1) -> None:
    """Assert that every attempt of a script was made, and refused."""
    lines = result.stdout.decode("utf-8", "replace").splitlines()
    assert result.exit_code == 0, result
    assert not [line for line in lines if " DONE" in line]
    assert len([line for line in lines if " refused:" in line]) >= least, result


def works(sandbox: Sandbox) -> bool:
    """Whether the sandbox still runs commands."""
    try:
        return sandbox.run(["echo", "fine"]).stdout == b"fine\n"
    except SandboxError:
        return False


def alive(sandbox: Sandbox) -> list[str]:
    """Command lines of everything inside but the supervisor and the listing itself."""
    script = (
        "for p in /proc/[0-9]*; do [ $p != /proc/1 ] && [ $p != /proc/$$ ] "
        "&& tr '\\0' ' ' < $p/cmdline && echo; done; true"
    )
    lines = sandbox.run(["sh", "-c", script]).stdout.decode().splitlines()
    return [line for line in lines if line.strip() and "cmdline" not in line and "tr " not in line]
