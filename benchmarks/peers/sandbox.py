"""The jail of a peer: bubblewrap without network, and a way to one endpoint through a socket."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import forward

from tools.sandbox.base import MIB, Limits, SandboxError, Spec
from tools.sandbox.bubblewrap import (
    INNER_USER,
    INSTALL,
    NAMESPACES,
    USER_NAMESPACE,
    Sources,
    base_args,
    base_env,
    candidates,
    layout,
)
from tools.sandbox.environment import Mounts, mounts_of, own_python

CHECKOUT = "/workspace"
HOME = "/tmp/home"
SOCKET = "/apprentice/endpoint"
DISK_BYTES = 1024 * MIB
CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class Jail:
    """What a peer sees.

    `checkout` is the one folder that it can write, shown as /workspace. `environments` are
    virtual environments, shown read-only where they are; the first gives the Python of PATH.
    `endpoint` is a Unix socket of the host; inside it is 127.0.0.1:`port`. `files` are put
    into the home folder, read-only. `disk_bytes` is how much the checkout may hold, and /tmp.
    """

    checkout: Path
    environments: Sequence[Path]
    endpoint: Path
    port: int
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    disk_bytes: int = DISK_BYTES


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, None when it was killed; wall seconds; which limit."""

    exit: int | None
    seconds: float
    killed_by: Literal["time", "disk"] | None = None


@dataclass
class Endpoint:
    """A way to the endpoint: its Unix socket, and how many connections came to it so far."""

    socket: Path
    connections: int = 0


@contextmanager
def endpoint_socket(port: int) -> Iterator[Endpoint]:
    """A Unix socket whose connections are counted and carried to 127.0.0.1:`port` of the host."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        endpoint = Endpoint(Path(folder) / "endpoint")

        def connect() -> socket.socket:
            endpoint.connections += 1
            return socket.create_connection(("127.0.0.1", port))

        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(endpoint.socket))
            listening.listen(16)
            forward.start(listening, connect)
            try:
                yield endpoint
            finally:
                listening.shutdown(socket.SHUT_RDWR)


def run(jail: Jail, argv: Sequence[str], seconds: float, log: Path) -> Ended:
    """Run a command in the jail, its output in `log`; at a limit everything in it is killed.

    The limits are `seconds` and, looked at each second, the size of the checkout.
    Raises SandboxError when there is no working bubblewrap.
    """
    sources = Sources()
    try:
        command = [*_command(jail, sources), *argv]
        with log.open("wb") as output:
            started = time.monotonic()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath},
                pass_fds=[int(fd) for fd in sources.fds],
            )
    finally:
        sources.close()
    try:
        killed_by = _wait(process, jail, started + seconds)
    finally:
        process.kill()
        code = process.wait()
    return Ended(None if killed_by else code, time.monotonic() - started, killed_by)


def _wait(
    process: subprocess.Popen[bytes], jail: Jail, deadline: float
) -> Literal["time", "disk"] | None:
    """Wait for the end of the process, or for the limit that it reaches."""
    while True:
        left = deadline - time.monotonic()
        try:
            process.wait(max(0.0, min(left, CHECK_SECONDS)))
            ended = True
        except subprocess.TimeoutExpired:
            ended = False
        if _size(jail.checkout) > jail.disk_bytes:
            return "disk"
        if ended:
            return None
        if left <= CHECK_SECONDS:
            return "time"


def _size(folder: Path) -> int:
    """The bytes that a folder takes on the disk, as far as it can be read."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(top, name)).st_blocks * 512
    return total


@functools.cache
def _start() -> tuple[str, ...]:
    """The start of a command line that works here, with no capability left inside."""
    reason = "there is no bwrap program"
    for program in candidates():
        for choice in (["--disable-userns", *USER_NAMESPACE], USER_NAMESPACE, NAMESPACES):
            command = [program, *choice, *base_args()]
            try:
                done = subprocess.run([*command, "true"], capture_output=True, timeout=5)
            except (OSError, subprocess.TimeoutExpired) as error:
                reason = str(error)
                continue
            if done.returncode == 0:
                return tuple(command)
            reason = done.stderr.decode("utf-8", "replace").strip()
    raise SandboxError(f"bubblewrap does not work here ({reason}): {INSTALL}")


def _command(jail: Jail, sources: Sources) -> list[str]:
    mounts = _mounts(jail.environments)
    spec = Spec(limits=Limits(disk_bytes=jail.disk_bytes))
    first = jail.environments[0]
    env = {
        **base_env(),
        "PATH": f"{first}/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": str(first),
        "LC_ALL": "C.UTF-8",
        "HOME": HOME,
        **jail.env,
    }
    files = [
        word
        for name, data in jail.files.items()
        for word in ("--ro-bind-data", sources.add(data), f"{HOME}/{name}")
    ]
    return [
        *_start(),
        *layout(mounts, spec, INNER_USER, sources),
        *("--perms", "0700", "--dir", HOME, *files),
        *("--bind", str(jail.checkout), CHECKOUT),
        *("--bind", str(jail.endpoint), SOCKET, "--hostname", "sandbox"),
        *(word for name, value in env.items() for word in ("--setenv", name, value)),
        *(own_python(), "-I", "-S", "-c", Path(forward.__file__).read_text("utf-8")),
        *(str(jail.port), SOCKET, CHECKOUT),
    ]


def _mounts(environments: Sequence[Path]) -> Mounts:
    """The mounts of several environments together."""
    together = Mounts(own_python())
    for environment in environments:
        mounts = mounts_of(str(environment), ("agent", "tools", "policies"), None)
        together.binds += [path for path in mounts.binds if path not in together.binds]
        together.folders += [path for path in mounts.folders if path not in together.folders]
        together.files |= mounts.files
    return together
