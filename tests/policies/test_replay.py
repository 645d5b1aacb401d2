"""A stored trajectory, replayed: the prompts of the run, the completions with their tokens."""

from __future__ import annotations

import pytest

from agent.session import Session
from policies.base import Constraint, Message, PolicyError, Sampling
from policies.choose import open_policy
from policies.experience.events import Sampled
from policies.experience.replay import replay
from policies.experience.store import Store
from policies.scripted import ScriptedPolicy

SAMPLING = Sampling()
GRAMMAR = Constraint(grammar='root ::= "x"')

pytestmark = pytest.mark.usefixtures("home")


class Run:
    """Asks as the agent does, and keeps what was asked and answered."""

    def __init__(self, session):
        self.session = session
        self.policy = ScriptedPolicy([f"answer {number}" for number in range(20)])
        self.requests = []

    def say(self, text, attempt, round):
        message = Message(role="user", content=text)
        self.session.prompt(message, attempt=attempt, round=round, phase="edit")

    def ask(self, attempt, round, n=1, group="", phase="edit"):
        messages = self.session.messages(attempt, round if group else None)
        drawn = self.policy.sample(messages, n, SAMPLING)
        tags = {"attempt": attempt, "round": round, "phase": phase, "group": group}
        for completion in drawn:
            self.session.record(completion, SAMPLING, GRAMMAR, **tags)
        self.requests.append((messages, drawn))


@pytest.fixture
def run(home):
    """Two tries of a reproduction, an attempt of two rounds, infilling of two lines, another."""
    with Store.open() as store, store.begin() as writer:
        run = Run(Session(writer))
        run.say("shared", None, None)
        run.say("write a test", -1, None)
        run.ask(-1, 0, phase="reproduce")
        run.say("write another", -1, 0)
        run.ask(-1, 1, phase="reproduce")
        run.say("plan", 0, 0)
        run.ask(0, 0)
        run.say("revise", 0, 1)
        run.ask(0, 1)
        run.say("infill", 1, None)
        for line in (0, 1):
            run.say(f"line {line}", 1, line)
            run.ask(1, line, n=3, group=f"1.{line}")
        run.say("plan", 2, 0)
        run.ask(2, 0)
        yield run


def test_a_trajectory_is_repeated_to_the_token(run):
    policy = open_policy("replay:last")
    assert policy.version == f"replay:{run.policy.version}"
    assert not policy.calls_tools
    for messages, drawn in run.requests:
        assert policy.sample(messages, len(drawn), SAMPLING) == drawn
    with pytest.raises(PolicyError, match="beyond the recording"):
        policy.sample(run.requests[0][0], 1, SAMPLING)
    another = open_policy(f"replay:{run.session.id[:12]}")
    with pytest.raises(PolicyError, match="diverges"):
        another.sample([Message(role="user", content="other")], 1, SAMPLING)


def test_without_a_grammar_it_called_tools(run):
    bare = [
        event.model_copy(update={"grammar": None}) if isinstance(event, Sampled) else event
        for event in run.session.events
    ]
    assert replay(bare).calls_tools


def test_damaged_tokens_are_found(run):
    first = next(
        event for event in run.session.events if isinstance(event, Sampled) and event.attempt == 0
    )
    altered = first.model_copy(update={"completion_ids": (1, 2)})
    events = [altered if event is first else event for event in run.session.events]
    with pytest.raises(PolicyError, match="do not continue"):
        replay(events)


@pytest.mark.parametrize("name", ["last", "zzz", ""])
def test_nothing_to_replay(name):
    with pytest.raises(PolicyError, match="nothing to replay: no trajectory is called"):
        open_policy(f"replay:{name}")


def test_a_trajectory_without_completions():
    with pytest.raises(PolicyError, match="holds no completion"):
        replay([])
