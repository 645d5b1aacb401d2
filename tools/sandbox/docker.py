"""A sandbox in a container of Docker Engine or Podman."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Any

import docker
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from tools.sandbox.base import File, SandboxError, Spec
from tools.sandbox.bubblewrap import base_env
from tools.sandbox.channel import BOOTSTRAP, Session, SocketStream
from tools.sandbox.local import identity, is_dead

IMAGE = "apprentice-sandbox"
LABEL = "apprentice"
BUILD = f"build one with `docker build -t {IMAGE} .`, or name an image that has python3 and git"
START = "start Docker or Podman (and set DOCKER_HOST if its socket is elsewhere), or use bubblewrap"
CAPABILITIES = ["SETUID", "SETGID", "KILL", "CHOWN"]
PING_SECONDS = 0.8
CPU_SHARES = 20
CALL_SECONDS = 60
STREAM_HEADER = struct.Struct(">BxxxI")


def connect(timeout: float) -> docker.DockerClient:
    """A client of the engine that the environment or the docker context names.

    A socket that nobody listens on is found here, since the library would leave its own open.
    Raises SandboxError.
    """
    try:
        host = os.environ.get("DOCKER_HOST")
        if not host:
            context = ContextAPI.get_current_context()
            host = str(context.Host) if context is not None else ""
        scheme, _, path = host.partition("://")
        if scheme in ("unix", "http+unix"):
            with socket.socket(socket.AF_UNIX) as attempt:
                attempt.settimeout(timeout)
                attempt.connect("/" + path.lstrip("/"))
        return docker.from_env(timeout=timeout)
    except (DockerException, OSError, ValueError) as error:
        raise SandboxError(f"no container engine answers ({error}): {START}") from error


@contextlib.contextmanager
def engine(timeout: float = CALL_SECONDS) -> Iterator[docker.DockerClient]:
    """A client of the engine that the environment names. Raises SandboxError."""
    client = connect(timeout)
    try:
        yield client
    except (DockerException, OSError) as error:
        raise SandboxError(f"the container engine refuses or does not answer: {error}") from error
    finally:
        client.close()


def available() -> str:
    """Empty when an engine answers, else the reason and what to do."""
    try:
        with engine(PING_SECONDS) as client:
            client.ping()
    except SandboxError as error:
        return str(error)
    return ""


class Attached(SocketStream):
    """A Transport over the attached streams of a container."""

    def __init__(self, client: docker.DockerClient, container: str) -> None:
        self.client = client
        self.container = container
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self.file = client.api.attach_socket(container, streams)
        super().__init__(getattr(self.file, "_sock", self.file))
        self.raw = bytearray()
        self.errors = bytearray()
        self.ended = False

    def receive(self, deadline: float) -> bytes:
        """Bytes of the container's standard output, taken out of the engine's framing."""
        while True:
            if len(self.raw) >= STREAM_HEADER.size:
                stream, size = STREAM_HEADER.unpack_from(self.raw)
                end = STREAM_HEADER.size + size
                if len(self.raw) >= end:
                    data = bytes(self.raw[STREAM_HEADER.size : end])
                    del self.raw[:end]
                    if stream == 1:
                        return data
                    self.errors += data[:4000]
                    continue
            more = super().receive(deadline)
            if not more:
                return b""
            self.raw += more

    def hang_up(self) -> None:
        """Close our end; the engine then closes the container's input."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        opened: Any
        for opened in (getattr(self.file, "_response", None), self.file, self.sock):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                opened.close()

    def destroy(self) -> None:
        """Remove the container."""
        if self.ended:
            return
        self.ended = True
        try:
            remove(self.client, self.container)
        finally:
            self.client.close()

    def complaint(self) -> str:
        """What the container printed on its standard error."""
        return self.errors.decode("utf-8", "replace").strip()


def remove(client: docker.DockerClient, container: str) -> None:
    """Remove a container that may be on its way out already."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            client.api.remove_container(container, force=True, v=True)
        except NotFound:
            return
        except (APIError, OSError):
            time.sleep(0.02)


def sweep(client: docker.DockerClient) -> None:
    """Remove containers that clients which are no more have left."""
    for found in client.api.containers(all=True, filters={"label": f"{LABEL}=1"}):
        if is_dead(found.get("Labels") or {}):
            remove(client, found["Id"])


def tmpfs(size: int, mode: str) -> str:
    """Options of a file system in memory."""
    return f"rw,exec,nosuid,nodev,size={size},mode={mode}"


def create(client: docker.DockerClient, image: str, spec: Spec) -> str:
    """Make the container, not yet started; returns its id."""
    limits = spec.limits
    host = client.api.create_host_config(
        network_mode="none",
        cap_drop=["ALL"],
        cap_add=CAPABILITIES,
        security_opt=["no-new-privileges"],
        read_only=True,
        init=False,
        auto_remove=True,
        pids_limit=limits.processes + 16,
        mem_limit=limits.memory_bytes + limits.disk_bytes,
        memswap_limit=limits.memory_bytes + limits.disk_bytes,
        cpu_shares=CPU_SHARES,
        shm_size=max(limits.disk_bytes // 8, 1 << 20),
        tmpfs={
            "/workspace": tmpfs(limits.disk_bytes, "0755"),
            "/apprentice": tmpfs(2 * limits.disk_bytes, "0755"),
            "/tmp": tmpfs(limits.disk_bytes // 2, "1777"),  # noqa: S108
        },
    )
    try:
        made = client.api.create_container(
            image,
            entrypoint=["python3", "-I", "-S", "-c", BOOTSTRAP],
            command=[],
            user="0:0",
            working_dir="/",
            hostname="sandbox",
            stdin_open=True,
            tty=False,
            healthcheck={"test": ["NONE"]},
            labels={LABEL: "1", **identity()},
            host_config=host,
        )
    except ImageNotFound as error:
        raise SandboxError(f"there is no docker image {image!r}: {BUILD}") from error
    return str(made["Id"])


def open_docker(files: Iterable[File], spec: Spec) -> Session:
    """Open a sandbox in a new container. Raises SandboxError."""
    image = spec.image or IMAGE
    client = connect(CALL_SECONDS)
    container = ""
    try:
        sweep(client)
        container = create(client, image, spec)
        transport = Attached(client, container)
        try:
            client.api.start(container)
        except BaseException:
            transport.hang_up()
            raise
    except BaseException as error:
        try:
            if container:
                remove(client, container)
        finally:
            client.close()
        if isinstance(error, (DockerException, OSError)):
            message = f"cannot start a container of {image!r}: {error}. {BUILD}"
            raise SandboxError(message) from error
        raise
    hello = {
        "workspace": "/workspace",
        "home": "/apprentice",
        "env": {**base_env(), **spec.env},
        "pythons": ["/env/bin/python"],
    }
    session = Session("docker", transport, spec, hello)
    session.fill(files)
    return session
