"""The jail of a peer: bubblewrap without network, and a way to one endpoint through a socket."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Jail:
    """What a peer sees.

    `checkout` is the one folder that it can write, shown as /workspace. `environments` are
    virtual environments, shown read-only where they are; the first gives the Python of PATH.
    `endpoint` is a Unix socket of the host; inside it is 127.0.0.1:`port`. `files` are put
    into the home folder, read-only.
    """

    checkout: Path
    environments: Sequence[Path]
    endpoint: Path
    port: int
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, None when it was killed at the limit; wall seconds."""

    exit: int | None
    seconds: float


@contextmanager
def endpoint_socket(port: int) -> Iterator[Path]:
    """A Unix socket whose connections are carried to 127.0.0.1:`port` of the host."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        path = Path(folder) / "endpoint"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(path))
            listening.listen(16)
            forward.start(listening, lambda: socket.create_connection(("127.0.0.1", port)))
            try:
                yield path
            finally:
                listening.shutdown(socket.SHUT_RDWR)


def run(jail: Jail, argv: Sequence[str], seconds: float, log: Path) -> Ended:
    """Run a command in the jail, its output in `log`; at the limit everything in it is killed.

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
        code: int | None = process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        process.kill()
        process.wait()
    return Ended(code, time.monotonic() - started)


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
    spec = Spec(limits=Limits(disk_bytes=DISK_BYTES))
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
