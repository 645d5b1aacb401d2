"""Which sandbox to open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tools.sandbox.base import File, Sandbox, SandboxError, Spec

Kind = Literal["auto", "docker", "bubblewrap", "none"]


def available() -> dict[str, str]:
    """Each kind of sandbox with the reason why it cannot be had, empty when it can."""
    from tools.sandbox import bubblewrap, docker

    return {"docker": docker.available(), "bubblewrap": bubblewrap.available()}


def open_sandbox(kind: Kind, files: Iterable[File], spec: Spec) -> Sandbox:
    """Open a sandbox that holds these files; use it in a `with` statement.

    `auto` takes docker if `spec.image` names an image and the engine answers, else bubblewrap.
    `none` gives no isolation and is never chosen by itself. Raises SandboxError.
    """
    if kind == "none":
        from tools.sandbox.none import open_none

        return open_none(files, spec)
    from tools.sandbox import bubblewrap

    if kind == "bubblewrap":
        return bubblewrap.open_bubblewrap(files, spec)
    from tools.sandbox import docker  # Its library is slow to import.

    if kind == "docker":
        return docker.open_docker(files, spec)
    no_docker = "no docker image is configured (build one, and name it)"
    if spec.image:
        no_docker = docker.available()
        if not no_docker:
            return docker.open_docker(files, spec)
    no_bubblewrap = bubblewrap.available()
    if not no_bubblewrap:
        return bubblewrap.open_bubblewrap(files, spec)
    raise SandboxError(f"no sandbox can be opened. {no_docker}; {no_bubblewrap}")
