"""Find the socket of a container engine, or any other socket of the host."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import stat
def connect(path):
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(path)
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock",
             "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket",
             "/run/systemd/private"):
    attempt(path, connect, path)
for start in ("/run", "/var", "/tmp", "/dev", "/workspace", "/apprentice"):
    for folder, folders, names in os.walk(start):
        for name in names:
            try:
                if stat.S_ISSOCK(os.lstat(folder + "/" + name).st_mode):
                    print(folder + "/" + name, "DONE")
            except OSError:
                pass
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 6)
