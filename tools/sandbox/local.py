"""Starting a sandbox as a local process that talks over a socket pair."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tools.sandbox.channel import SocketStream

CLOSE_SECONDS = 3.0

_launchers: dict[int, ThreadPoolExecutor] = {}
_launchers_lock = threading.Lock()


def launcher() -> ThreadPoolExecutor:
    """One thread that lives as long as this process: a child that asks to die with its parent
    dies when the *thread* that started it ends."""
    with _launchers_lock:
        return _launchers.setdefault(
            os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="sandbox-launcher")
        )


class LocalProcess(SocketStream):
    """A Transport to a child process, in a session of its own."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        read_end, write_end = os.pipe()
        self.errors = open(read_end, "rb", buffering=0)  # noqa: SIM115  closed by destroy
        os.set_blocking(read_end, False)

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=write_end,
                env=env,
                cwd="/",
                pass_fds=pass_fds,
                start_new_session=True,
            )

        try:
            self.process = launcher().submit(start).result()
        except BaseException:
            ours.close()
            self.errors.close()
            raise
        finally:
            theirs.close()
            os.close(write_end)
        self.said = ""

    def hang_up(self) -> None:
        """Close our end."""
        self.sock.close()

    def destroy(self) -> None:
        """Wait for the process to end by itself, else kill it."""
        if self.errors.closed:
            return
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            self.said = (self.errors.read(4000) or b"").decode("utf-8", "replace").strip()
        self.errors.close()

    def complaint(self) -> str:
        """What it printed on its standard error."""
        return self.said


def identity() -> dict[str, str]:
    """What tells this process from any other, on this machine and since its boot."""

    def start_time(pid: int) -> str:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]

    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        space = os.readlink("/proc/self/ns/pid")
        return {
            "apprentice.boot": f"{boot} {space}",
            "apprentice.client": f"{os.getpid()} {start_time(os.getpid())}",
        }
    except OSError:
        return {"apprentice.boot": "", "apprentice.client": f"{os.getpid()} {time.time_ns()}"}


def is_dead(labels: Mapping[str, str]) -> bool:
    """Whether the process that these labels name is known to be gone."""
    if (
        not labels.get("apprentice.boot")
        or labels["apprentice.boot"] != identity()["apprentice.boot"]
    ):
        return False
    pid, _, started = labels.get("apprentice.client", "").partition(" ")
    try:
        with open(f"/proc/{int(pid)}/stat") as file:
            return file.read().rpartition(")")[2].split()[19] != started
    except (OSError, ValueError):
        return True
