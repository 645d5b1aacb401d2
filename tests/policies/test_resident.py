"""Engines that processes share: started on demand, ended when idle, recovered from any death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from policies.base import Constraint, Message, PolicyError, Sampling
from policies.hub.store import ModelFile
from policies.llamacpp import LlamaCppPolicy
from policies.resident.client import in_use, open_resident, running, stop
from policies.resident.record import Place, Wanted, folder, open_private, until
from tests.agent.shop import agent

ASK = [Message(role="user", content="Say hello in one short sentence.")]
SAMPLING = Sampling(max_tokens=12, seed=3, temperature=0.8)
ROOM = {"context_tokens": 512, "parallel": 2}
CLIENT = """
import sys, time
from policies.base import Message, Sampling
from policies.hub.store import locate
from policies.resident.client import open_resident
policy = open_resident(locate("qwen2.5-coder-0.5b"), context_tokens=512, parallel=2)
print("open", flush=True)
sys.stdin.readline()
policy.sample([Message(role="user", content="Count to a thousand.")], 1, Sampling(max_tokens=400))
"""


@pytest.fixture(autouse=True)
def _nothing_stays(private_home):
    yield
    for record in running():
        stop(record)


def open_small(model, **more):
    return open_resident(model, **ROOM, **more)


def client():
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.model
def test_it_answers_exactly_as_an_engine_of_ones_own(small_model):
    limit = Constraint(grammar='root ::= "Hello" [a-z ]{0,20}')
    asked = [
        lambda policy: policy.sample(ASK, 2, SAMPLING),
        lambda policy: policy.sample(ASK, 1, SAMPLING, limit),
    ]
    with LlamaCppPolicy(small_model, **ROOM) as own:
        expected = [completion for ask in asked for completion in ask(own)]
        version = own.version
    with open_small(small_model) as shared:
        found = [completion for ask in asked for completion in ask(shared)]
        assert shared.version == version
    for mine, theirs in zip(expected, found, strict=True):
        assert theirs.text == mine.text
        assert theirs.prompt_ids == mine.prompt_ids
        assert theirs.completion_ids == mine.completion_ids
        assert theirs.logprobs == pytest.approx(mine.logprobs, abs=0.05)


@pytest.mark.model
def test_two_starters_share_one_engine_and_may_die(small_model):
    first, second = client(), client()
    try:
        assert [first.stdout.readline(), second.stdout.readline()] == ["open\n", "open\n"]
        (record,) = running()
        assert in_use(record)
        private = Place(record.wanted.key)
        assert private.record.stat().st_mode & 0o777 == 0o600
        assert folder().stat().st_mode & 0o777 == 0o700
        with open(f"/proc/{record.pid}/cmdline") as line:
            assert record.secret not in line.read()
        first.stdin.write("\n")
        first.stdin.flush()
        time.sleep(1.5)
        first.kill()
        with open_small(small_model) as third:
            assert third.sample(ASK, 1, SAMPLING)[0].completion_ids
        assert [r.pid for r in running()] == [record.pid]
        listed = json.loads(agent("models", "serve", "--status", "--json").stdout)
        assert [(e["model"], e["pid"], e["in_use"]) for e in listed["engines"]] == [
            ("qwen2.5-coder-0.5b", record.pid, True)
        ]
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert not in_use(record)
    assert agent("models", "serve", "--stop").exit_code == 0
    assert running() == []


@pytest.mark.model
def test_a_killed_server_is_replaced_while_it_is_used(small_model):
    with open_small(small_model) as policy:
        before = policy.sample(ASK, 1, SAMPLING)[0]
        (record,) = running()
        os.kill(record.pid, signal.SIGKILL)
        after = policy.sample(ASK, 1, SAMPLING)[0]
        assert after.completion_ids == before.completion_ids
        assert running()[0].pid != record.pid
    (record,) = running()
    os.kill(record.pid, signal.SIGKILL)
    assert until(lambda: not running(), 5)
    with open_small(small_model) as policy:
        assert policy.count_tokens(ASK) > 5


@pytest.mark.model
def test_it_ends_when_idle_and_not_before(small_model):
    with open_small(small_model, idle_seconds=1.5) as policy:
        (record,) = running()
        time.sleep(3)
        assert [r.pid for r in running()] == [record.pid]
        assert policy.count_tokens(ASK) > 5
    assert running()
    assert until(lambda: not running(), 10)
    assert list(folder().glob("*.json")) == []


@pytest.mark.model
def test_another_version_starts_another_engine(small_model, monkeypatch):
    open_small(small_model).close()
    (old,) = running()
    monkeypatch.setattr("policies.resident.client.versions", lambda: "another")
    open_small(small_model).close()
    (new,) = running()
    assert new.pid != old.pid


def wanted(model="/nowhere.gguf"):
    return Wanted(
        name="none", model=str(model), sha256="0", adapter=None, adapter_sha256="", cells=512,
        parallel=1, threads=1, versions="1", idle_seconds=5,
    )  # fmt: skip


def test_what_is_shared_depends_on_weights_and_room_alone():
    one = wanted()
    assert one.key == one.model_copy(update={"idle_seconds": 9.0, "name": "other"}).key
    for change in ({"sha256": "1"}, {"cells": 1}, {"adapter_sha256": "1"}, {"versions": "2"}):
        assert one.key != one.model_copy(update=change).key


def test_weights_that_cannot_be_loaded_are_an_error(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(PolicyError, match="could not load"):
        open_resident(ModelFile(path, "0" * 64, "bad"))
    assert running() == []


def test_a_record_of_the_dead_is_not_believed(private_home):
    place = Place(wanted().key)
    open_private(place.alive).close()
    place.record.write_text('{"half": ')
    assert place.read() is None
    assert not place.served()
    assert running() == []


def test_nothing_runs_and_nothing_is_stopped():
    assert "no engine" in agent("models", "serve", "--status").stderr
    assert json.loads(agent("models", "serve", "--stop", "--json").stdout)["engines"] == []
