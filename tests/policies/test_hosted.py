"""litellm: against a real OpenAI-compatible server, and its errors."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from typing import Any, ClassVar

import pytest

from policies import hosted
from policies.base import (
    MALFORMED,
    Constraint,
    ContextOverflow,
    Message,
    Policy,
    PolicyError,
    Progress,
    Sampling,
    ToolCall,
)
from policies.choose import open_policy
from policies.hosted import KEY_VARIABLE, LiteLLMPolicy, _call

pytestmark = [
    pytest.mark.usefixtures("no_proxies"),
    # litellm and its dependencies warn; that is not ours to mend.
    pytest.mark.filterwarnings("ignore"),
]
ASK = [Message(role="user", content="Reply with the word ready.")]
TOOL = {
    "name": "read_file",
    "description": "Read a file",
    "parameters": {
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    },
}


@pytest.fixture(scope="module")
def server(small_model):
    from policies.llamaserver import LlamaServer

    server = LlamaServer(small_model.path, 2048, 2, 2)
    yield server
    server.close()


@pytest.fixture
def served(server, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, server._key)
    return f"http://{server._host}:{server._port}/v1"


def test_a_missing_key_is_named(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(PolicyError, match="ANTHROPIC_API_KEY"):
        LiteLLMPolicy("anthropic/claude-sonnet-4-5")


def test_an_unknown_provider():
    with pytest.raises(PolicyError, match="PROVIDER/MODEL"):
        LiteLLMPolicy("nothing-at-all")


def test_an_unreachable_server_is_named():
    policy = LiteLLMPolicy("openai/x", api_base="http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(PolicyError, match=r"cannot reach http://127\.0\.0\.1:9/v1"):
        policy.sample(ASK, 1, Sampling())


def test_the_prompt_of_a_known_model_is_cached(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    policy = LiteLLMPolicy("anthropic/claude-sonnet-4-5")
    request = policy._request(ASK, 1, Sampling(seed=4), Constraint(tools=(TOOL,)), 2)
    assert request["cache_control_injection_points"]
    assert request["seed"] == 6
    assert request["tools"] == [{"type": "function", "function": TOOL}]
    assert policy.calls_tools
    assert policy.context_tokens > 100_000
    assert policy.count_tokens(ASK) > 5


def test_claude_is_sent_no_top_p_and_others_one_that_cuts(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    for model, base, wanted in (
        ("anthropic/claude-sonnet-4-5", None, [None, None]),
        ("openai/m", "http://127.0.0.1:9/v1", [0.95, None]),
    ):
        policy = LiteLLMPolicy(model, api_base=base)
        requests = [policy._request(ASK, 1, Sampling(top_p=p), None, 0) for p in (0.95, 1.0)]
        assert [request.get("top_p") for request in requests] == wanted


def test_what_is_secret_in_a_servers_address_is_not_told():
    policy = LiteLLMPolicy("openai/x", api_base="http://me:pass@127.0.0.1:9/v1?key=k", retries=0)
    assert policy.version == "openai/x@http://127.0.0.1:9/v1"
    with pytest.raises(PolicyError, match=r"cannot reach http://127\.0\.0\.1:9/v1 ") as told:
        policy.sample(ASK, 1, Sampling())
    assert "pass" not in str(told.value)


def test_a_request_takes_no_longer_than_it_may():
    policy = open_policy("openai/x@http://127.0.0.1:9/v1", request_seconds=7.0)
    assert policy._request(ASK, 1, Sampling(), None, 0)["timeout"] == 7.0


def test_messages_and_malformed_calls():
    call = ToolCall(id="1", name="f", arguments={"a": 1})
    chat = Message(role="assistant", tool_calls=(call,)).as_chat()
    assert json.loads(chat["tool_calls"][0]["function"]["arguments"]) == {"a": 1}

    class Function:
        name = "f"
        arguments = "{oops"

    class Raw:
        id = None
        function = Function

    assert _call(Raw).arguments == {MALFORMED: "{oops"}


def test_failures_that_pass_are_asked_again(monkeypatch):
    policy = LiteLLMPolicy("openai/x", api_base="http://127.0.0.1:9/v1", retries=2)
    pauses = []
    monkeypatch.setattr(hosted.time, "sleep", pauses.append)
    with pytest.raises(PolicyError, match="cannot reach"):
        policy.sample(ASK, 1, Sampling())
    assert pauses == [1.0, 2.0]


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers one choice whatever `n` is: a tool call."""

    requests: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        function = {"name": "read_file", "arguments": '{"path": "setup.py"}'}
        call = {"id": "c1", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        answer = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": {
                "prompt_tokens": 50,
                "completion_tokens": 9,
                "total_tokens": 59,
                "prompt_tokens_details": {"cached_tokens": 32},
            },
        }
        raw = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_tool_calls_and_a_server_that_ignores_n(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "must-not-be-sent")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        policy = LiteLLMPolicy("openai/m", api_base=f"http://127.0.0.1:{server.server_port}/v1")
        call = ToolCall(id="c0", name="read_file", arguments={"path": "x"})
        ask = [
            *ASK,
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", tool_call_id="c0", content="text"),
        ]
        sampling = Sampling(seed=3, stop=("X",))
        told: list[Progress] = []
        two = policy.sample(ask, 2, sampling, Constraint(tools=(TOOL,)), told.append)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [answer.tool_calls[0].arguments for answer in two] == [{"path": "setup.py"}] * 2
    assert two[0].finish_reason == "tool_calls"
    assert (two[0].usage.prompt, two[0].usage.cached, two[0].usage.completion) == (50, 32, 9)
    assert [step.completion_tokens for step in told] == [9, 18]
    first, second = Provider.requests
    assert (first["n"], first["seed"], second["seed"]) == (2, 3, 4)
    assert first["tools"][0]["function"]["name"] == "read_file"
    assert first["messages"][2] == {"role": "tool", "tool_call_id": "c0", "content": "text"}
    assert first["stop"] == ["X"]


def test_neither_prints_nor_reads_a_dotenv(tmp_path):
    (tmp_path / ".env").write_text("OPENAI_API_BASE=http://evil.example\nMARK_FROM_DOTENV=1\n")
    code = (
        "import os\nfrom policies.hosted import LiteLLMPolicy\n"
        "from policies.base import *\n"
        "p = LiteLLMPolicy('openai/x', api_base='http://127.0.0.1:9/v1', retries=0)\n"
        "try:\n    p.sample([Message(role='user', content='x')], 1, Sampling())\n"
        "except PolicyError: pass\n"
        "assert 'MARK_FROM_DOTENV' not in os.environ\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONWARNINGS": "ignore"}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@pytest.mark.model
def test_a_real_server(served):
    policy = open_policy(f"openai/small@{served}")
    assert isinstance(policy, Policy)
    assert policy.version == f"openai/small@{served}"
    seen = []
    two = policy.sample(ASK, 2, Sampling(max_tokens=8, temperature=0.7, seed=1), None, seen.append)
    assert len(two) == 2
    assert all(answer.text for answer in two)
    assert two[0].usage.prompt > 10
    assert two[1].usage.prompt == 0
    assert sum(answer.usage.completion for answer in two) == seen[-1].completion_tokens > 0
    again = policy.sample(ASK, 1, Sampling(max_tokens=1))[0]
    assert again.finish_reason == "length"
    assert again.usage.cached > 10


@pytest.mark.model
def test_a_real_server_takes_tools(served):
    """The small model may or may not call the tool; the request and its answer are real."""
    policy = open_policy(f"openai/small@{served}")
    ask = [Message(role="user", content="Read the file setup.py with the tool.")]
    answer = policy.sample(ask, 1, Sampling(max_tokens=60), Constraint(tools=(TOOL,)))[0]
    assert answer.text or answer.tool_calls[0].name == "read_file"


@pytest.mark.model
def test_real_errors(served, monkeypatch):
    policy = open_policy(f"openai/small@{served}")
    with pytest.raises(ContextOverflow):
        policy.sample([Message(role="user", content="word " * 3000)], 1, Sampling())
    monkeypatch.setenv(KEY_VARIABLE, "wrong")
    with pytest.raises(PolicyError, match=f"check {KEY_VARIABLE}"):
        policy.sample(ASK, 1, Sampling())
