"""The client of the local engine, when the engine does not answer."""

from __future__ import annotations

import http.server
import socket
import threading
import time

import pytest

from policies import llamaserver
from policies.base import PolicyError
from policies.llamaserver import LlamaServer


@pytest.fixture
def engine(monkeypatch):
    """A client without an engine of its own, and the socket that it speaks to."""
    monkeypatch.setattr(llamaserver, "_PATIENCE_SECONDS", 0.4)
    monkeypatch.setattr(llamaserver, "_SETTLE_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = LlamaServer.__new__(LlamaServer)
        client._server = client
        client._key = "k"
        client._cancelled = 0.0
        client._host, client._port = listening.getsockname()
        yield client, listening


def test_a_silent_engine_is_given_up(engine):
    client, _ = engine
    begun = time.monotonic()
    with pytest.raises(PolicyError, match=r"/tokenize took more.*close this model and open it"):
        client.tokenize("text")
    with pytest.raises(PolicyError, match="does not answer"):
        client.tokenize("text")
    assert time.monotonic() - begun < 5


def test_an_engine_that_stays_busy_is_given_up(engine, monkeypatch):
    client, _ = engine
    client._cancelled = time.monotonic()
    monkeypatch.setattr(client, "_slots_busy", lambda: True)
    with pytest.raises(PolicyError, match="still busy with a request that was cancelled"):
        client.tokenize("text")


def test_an_engine_that_is_gone(engine):
    client, listening = engine
    listening.close()
    with pytest.raises(PolicyError, match=r"refused.*close this model and open it again"):
        client.tokenize("text")


def test_an_engine_that_breaks_off(engine):
    client, listening = engine

    def hang_up():
        connection, _ = listening.accept()
        connection.recv(1 << 16)
        connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(PolicyError, match="does not answer"):
        client.post("/completion", {})
    thread.join()


def test_generation_may_take_longer(monkeypatch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            time.sleep(1.0)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format, *args):
            pass

    monkeypatch.setattr(llamaserver, "_PATIENCE_SECONDS", 0.3)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        client = LlamaServer.__new__(LlamaServer)
        client._server, client._key, client._cancelled = client, "k", 0.0
        client._host, client._port = "127.0.0.1", server.server_port
        assert client.post("/completion", {}) == {}
        server.shutdown()
        thread.join()
