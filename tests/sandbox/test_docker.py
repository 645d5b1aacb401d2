"""How the container engine's failures are met, shown with an engine that only pretends."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest
import requests

from tools.sandbox import docker as module
from tools.sandbox.base import SandboxError, Spec
from tools.sandbox.docker import available, engine, open_docker
from tools.sandbox.prepare import prepare_image, prepared_image


class Handler(socketserver.StreamRequestHandler):
    """Tells its version, and hangs up on everything else."""

    def handle(self) -> None:
        asked = self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        if b"/version" in asked:
            body = b'{"ApiVersion": "1.44"}'
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@contextmanager
def failing(path: Path) -> Iterator[None]:
    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_broken_connection_is_a_sandbox_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    with failing(tmp_path / "engine.sock"):
        with pytest.raises(SandboxError, match="does not answer"), engine() as client:
            client.ping()
        assert "does not answer" in available()
        with pytest.raises(SandboxError, match="does not answer"):
            prepare_image([], "image", print)
        assert prepared_image([], "image") is None
        with pytest.raises(SandboxError, match="cannot start a container"):
            open_docker([], Spec())


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (requests.exceptions.ReadTimeout("late"), SandboxError),
        (docker.errors.APIError("no"), SandboxError),
    ],
)
def test_a_container_that_cannot_be_started_is_removed(
    error: BaseException, seen: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def start(container: str) -> None:
        raise error

    def remove_container(container: str, **how: Any) -> None:
        if done:
            raise docker.errors.NotFound("gone")
        done.append(container)

    api = SimpleNamespace(start=start, remove_container=remove_container)
    client = SimpleNamespace(api=api, close=lambda: done.append("closed"))
    attached = SimpleNamespace(hang_up=lambda: None)
    monkeypatch.setattr(module, "connect", lambda timeout: client)
    monkeypatch.setattr(module, "sweep", lambda client: None)
    monkeypatch.setattr(module, "create", lambda *what: "c1")
    monkeypatch.setattr(module, "Attached", lambda *what: attached)
    with pytest.raises(seen):
        open_docker([], Spec())
    assert done == ["c1", "closed"]
