"""The local model behind an endpoint of the OpenAI protocol."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from policies.base import PolicyError
from policies.serve import Address
from tests.agent.shop import agent
from tests.policies.conftest import SMALL_MODEL


@contextlib.contextmanager
def served(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The process of `agent models serve`, and what it says once it is ready."""
    command = [sys.executable, "-m", "agent", "models", "serve", SMALL_MODEL, "--port", "0"]
    command += ["--json", "--context-tokens", "512", "--threads", "1", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        try:
            assert it.stdout is not None
            yield it, json.loads(it.stdout.readline())
        finally:
            it.kill()


def ask(url: str, body: dict[str, Any] | None = None, key: str = "") -> Any:
    """The parsed answer of a GET, or of a POST of `body`."""
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    request.add_header("Content-Type", "application/json")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def chat(tokens: int) -> dict[str, Any]:
    """A request for at most `tokens` tokens."""
    return {
        "model": SMALL_MODEL,
        "max_tokens": tokens,
        "ignore_eos": True,
        "messages": [{"role": "user", "content": "Count."}],
    }


@pytest.mark.model
def test_a_client_lists_the_model_and_chats(small_model):
    with served() as (process, ready):
        assert ready["schema"] == "apprentice.served"
        assert ready["model"] == SMALL_MODEL
        listed = ask(f"{ready['url']}/models")["data"]
        assert [model["id"] for model in listed] == [SMALL_MODEL]
        assert listed[0]["meta"]["n_ctx"] == 512
        answer = ask(f"{ready['url']}/chat/completions", chat(4))
        assert answer["usage"]["completion_tokens"] == 4
        assert answer["choices"][0]["message"]["content"]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr is not None
        line = process.stderr.read()
        assert f"openai/{SMALL_MODEL}@{ready['url']}" in line
        assert line.count("\n") == 1


@pytest.mark.model
def test_a_key_is_demanded_and_a_stop_waits_for_no_request(small_model):
    with served("--api-key", "secret") as (process, ready):
        url = f"{ready['url']}/chat/completions"
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(url, chat(1))
        refused.value.close()
        assert refused.value.code == 401
        assert ask(url, chat(1), "secret")["choices"]
        broken: list[Exception] = []

        def long() -> None:
            try:
                ask(url, chat(400), "secret")
            except (OSError, http.client.HTTPException) as error:
                broken.append(error)

        waiting = threading.Thread(target=long)
        waiting.start()
        waiting.join(1.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        waiting.join()
        assert len(broken) == 1


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = agent("models", "serve", SMALL_MODEL, "--port", str(port))
    assert result.exit_code == 3
    assert f"cannot listen at 127.0.0.1 port {port}: Address already in use" in result.stderr


def test_an_unknown_model():
    result = agent("models", "serve", "qwen2.5-codr", "--port", "0", "--json")
    assert result.exit_code == 3
    report = json.loads(result.stdout)
    assert report["exit_code"] == 3
    assert "Did you mean" in report["message"]


@pytest.mark.parametrize("host", ["", "no such host", "/tmp/socket.sock", "203.0.113.9", "a" * 70])
def test_a_bad_host(host):
    with pytest.raises(PolicyError, match="address of this machine"):
        Address(host, 0)


def test_other_machines_need_a_key(monkeypatch):
    monkeypatch.delenv("APPRENTICE_API_KEY", raising=False)
    result = agent("models", "serve", SMALL_MODEL, "--host", "0.0.0.0", "--port", "0")
    assert result.exit_code == 2
    assert "APPRENTICE_API_KEY" in result.stderr
    assert Address("127.0.0.2", 0).is_private
    assert not Address("0.0.0.0", 0).is_private
