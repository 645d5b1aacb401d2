"""A hub on this machine, a data root of its own for each test, and the small real model."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.hub import catalogue, store
from policies.hub.catalogue import CatalogueEntry, Parts
from policies.hub.download import pull

SMALL_MODEL = "qwen2.5-coder-0.5b"


class Hub:
    """An HTTP server with Range support that serves `files` and can break off or refuse."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.break_after: list[int] = []
        self.portal: bytes | None = None
        """What every request is answered with instead, as by a network that wants a login."""
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                hub.requests.append((self.path, wanted))
                if hub.portal is not None:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(hub.portal)))
                    self.end_headers()
                    self.wfile.write(hub.portal)
                    return
                body = hub.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                end = start + hub.break_after.pop(0) if hub.break_after else len(body)
                self.wfile.write(body[start:end])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APPRENTICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("APPRENTICE_MODELS", raising=False)
    return tmp_path / "home"


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield hub
    hub.close()


@pytest.fixture
def weights() -> bytes:
    return b"GGUF" + bytes(range(256)) * 4000


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, weights: bytes) -> CatalogueEntry:
    """A catalogue model of a megabyte, in two parts that no index has."""
    entry = CatalogueEntry(
        name="tiny",
        title="Tiny",
        repo="owner/tiny",
        file="tiny.gguf",
        bytes=len(weights),
        sha256=hashlib.sha256(weights).hexdigest(),
        licence="Apache-2.0",
        context=64,
        parts=Parts(prefix="apprentice-test-part", count=2, version="1.0"),
    )
    monkeypatch.setitem(catalogue.CATALOGUE, "tiny", entry)
    return entry


@pytest.fixture(scope="session")
def small_model() -> store.ModelFile:
    """The 0.5B model in the user's own data root, pulled if it is missing there."""
    try:
        return store.locate(SMALL_MODEL)
    except store.MissingWeights:
        return pull(SMALL_MODEL)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
