"""Scripts and recordings."""

from __future__ import annotations

import json

import pytest

from policies.base import ContextOverflow, Message, Policy, PolicyError, Sampling
from policies.scripted import (
    Recorded,
    ReplayPolicy,
    Reply,
    Script,
    ScriptedCall,
    ScriptedPolicy,
    digest_messages,
)

ASK = [Message(role="system", content="S"), Message(role="user", content="fix it")]
SAMPLING = Sampling()


def test_replies_come_in_order_and_run_out():
    policy = ScriptedPolicy(["one", "two", "three"])
    assert isinstance(policy, Policy)
    assert [c.text for c in policy.sample(ASK, 2, SAMPLING)] == ["one", "two"]
    assert policy.sample(ASK, 1, SAMPLING)[0].text == "three"
    with pytest.raises(PolicyError, match=r"request 3: all 3 replies are used"):
        policy.sample(ASK, 1, SAMPLING)


def test_when_and_repeat():
    policy = ScriptedPolicy([Reply(text="seen", when="error", repeat=True), Reply(text="plain")])
    error = [*ASK, Message(role="user", content="an error")]
    assert [policy.sample(error, 1, SAMPLING)[0].text for _ in range(2)] == ["seen", "seen"]
    assert policy.sample(ASK, 1, SAMPLING)[0].text == "plain"
    with pytest.raises(PolicyError, match=r"none of the 1 replies left suits.*'fix it'"):
        policy.sample(ASK, 1, SAMPLING)


def test_tokens_are_complete_and_extend_each_other():
    policy = ScriptedPolicy(["première", "second"])
    first = policy.sample(ASK, 1, SAMPLING)[0]
    assert bytes(first.completion_ids[:-1]).decode() == first.text
    assert len(first.logprobs) == len(first.completion_ids) == first.usage.completion
    assert policy.count_tokens(ASK) == len(first.prompt_ids) == first.usage.prompt
    follow = [*ASK, Message(role="assistant", content=first.text), Message(role="user")]
    second = policy.sample(follow, 1, SAMPLING)[0]
    seen = first.prompt_ids + first.completion_ids
    assert second.prompt_ids[: len(seen)] == seen
    assert ScriptedPolicy(["première", "second"]).version == policy.version == first.policy_version


def test_tool_calls():
    call = ScriptedCall(name="edit", arguments={"path": "a.py"})
    policy = ScriptedPolicy(Script(replies=(Reply(tool_calls=(call,)),), calls_tools=True))
    assert policy.calls_tools
    answer = policy.sample(ASK, 1, SAMPLING)[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls[0].name == "edit"
    assert answer.tool_calls[0].arguments == {"path": "a.py"}


def test_the_context_overflows():
    policy = ScriptedPolicy(Script(replies=(Reply(text="x"),), context_tokens=5))
    with pytest.raises(ContextOverflow):
        policy.sample(ASK, 1, SAMPLING)


def test_load(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps(["one", {"text": "two", "when": "fix"}]))
    assert [c.text for c in ScriptedPolicy.load(path).sample(ASK, 2, SAMPLING)] == ["one", "two"]
    path.write_text(json.dumps({"calls_tools": True, "replies": []}))
    assert ScriptedPolicy.load(path).calls_tools


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read"),
        ("{", "is no JSON"),
        ("3", "must be a list"),
        ('{"replies": {}}', "must be a list"),
        ('[{"txt": "x"}]', r"replies\.0\.txt: Extra inputs"),
        ('{"replies": [], "tools": true}', "tools: Extra inputs"),
    ],
)
def test_load_names_the_fault(tmp_path, content, reason):
    path = tmp_path / "script.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PolicyError, match=reason) as caught:
        ScriptedPolicy.load(path)
    assert str(path) in str(caught.value)


def test_replay_repeats_and_stops_at_a_divergence():
    script = ScriptedPolicy(["one", "two", "three"])
    follow = [*ASK, Message(role="assistant", content="one"), Message(role="user", content="go on")]
    recording = [
        Recorded(digest=digest_messages(ASK), completions=tuple(script.sample(ASK, 2, SAMPLING))),
        Recorded(
            digest=digest_messages(follow), completions=tuple(script.sample(follow, 1, SAMPLING))
        ),
    ]
    replay = ReplayPolicy(iter(recording))
    assert isinstance(replay, Policy)
    assert replay.version == f"replay:{script.version}"
    assert replay.count_tokens(ASK) == script.count_tokens(ASK)
    assert replay.sample(ASK, 2, SAMPLING) == list(recording[0].completions)
    with pytest.raises(PolicyError, match=r"request 2 .* diverges.*'other'"):
        replay.sample([Message(role="user", content="other")], 1, SAMPLING)
    with pytest.raises(PolicyError, match="asks for 2 completions, recorded are 1"):
        replay.sample(follow, 2, SAMPLING)
    replay.sample(follow, 1, SAMPLING)
    with pytest.raises(PolicyError, match="beyond the recording, which has 2"):
        replay.sample(follow, 1, SAMPLING)
