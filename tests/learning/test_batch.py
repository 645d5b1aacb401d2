"""From stored events to scored trajectories: the exact tokens, and whose reward is whose."""

from dataclasses import replace

import pytest

from agent.session import Session
from policies.base import Constraint, Message, Sampling
from policies.experience import events as e
from policies.experience.store import Store
from policies.learning.batch import grouped, leave_one_out, read, trajectories
from policies.learning.errors import LearningError
from policies.learning.rewards import RewardConfig
from policies.learning.tokens import sequences
from policies.scripted import ScriptedPolicy

SAMPLING = Sampling()
GRAMMAR = Constraint(grammar='root ::= "x"')


class Play:
    """A run told event by event, through the session that the agent uses."""

    def __init__(self, store):
        self.store = store
        self.writer = store.begin()
        self.session = Session(self.writer)
        self.prompts = {}

    def say(self, text, attempt, round=0):
        message = Message(role="user", content=text)
        self.session.prompt(message, attempt=attempt, round=round, phase="edit")

    def answer(self, *texts, attempt, round=0, group="", finish="stop", phase="edit"):
        policy = ScriptedPolicy(list(texts))
        messages = self.session.messages(attempt, round if group else None)
        for drawn in policy.sample(messages, len(texts), SAMPLING):
            drawn = drawn.model_copy(
                update={
                    "logprobs": tuple(-0.01 * n for n in range(len(drawn.completion_ids))),
                    "finish_reason": finish,
                    "policy_version": "m",
                }
            )
            tags = {"attempt": attempt, "round": round, "phase": phase, "group": group}
            self.session.record(drawn, SAMPLING, GRAMMAR, **tags)
            self.prompts[attempt] = (drawn.prompt_ids, drawn.completion_ids)

    def act(self, answer, attempt, round=0, *, alike=(), change="", complete=True):
        arguments = {"symbol": "a.py::f", "text": "…", "change": change}
        said = {"answer": answer, "alike": alike}
        acted = e.Acted(tool="edit", arguments=arguments, **said, **at(attempt, round))
        self.session.emit(acted)
        self.patch(answer, attempt)
        run = {"label": "candidate", "outcomes": {}, "exit_code": 1, "seconds": 0.0}
        self.session.emit(e.Tested(**run, complete=complete, **at(attempt, round)))

    def patch(self, diff, attempt):
        self.session.emit(e.Patched(diff=diff, **at(attempt)))

    def judge(self, attempt, resolved=1.0, **more):
        values = {
            "verified": resolved == 1.0,
            "reasons": (),
            "findings": (),
            "rewards": {"resolved": resolved, "tamper": 0.0, "changed_lines": 2.0},
            "fixed": (),
            "broken": (),
            "diff_sha256": "",
            "seconds": 0.0,
        }
        self.session.emit(e.Judged(**{**values, **more}, attempt=attempt, phase="verify"))

    def end(self, attempt, reason="the rounds are used up"):
        self.session.emit(e.AttemptEnded(reason=reason, **at(attempt)))

    def read(self):
        return read(self.store, [self.writer.id], RewardConfig())


def at(attempt, round=0):
    return {"attempt": attempt, "round": round, "phase": "edit"}


@pytest.fixture
def play():
    with Store.open() as store:
        yield Play(store)


def test_turns_are_one_sequence_with_the_policys_tokens_trained(play):
    play.say("find it", 0)
    play.answer("plan", attempt=0, phase="plan")
    play.say("that is wrong", 0, 1)
    play.answer("critique", attempt=0, round=1, phase="critique")
    play.say("again", 0, 2)
    play.answer("revision", attempt=0, round=2)
    play.judge(0)
    (found,) = play.read()
    (tokens,) = found.sequences
    prompt, completion = play.prompts[0]
    assert tokens.ids == prompt + completion
    written = bytes(i for i, m in zip(tokens.ids, tokens.mask, strict=True) if m and i < 256)
    assert written == b"plancritiquerevision"
    assert tokens.trained == len("plancritiquerevision") + 3
    assert all(p == 0 for p, m in zip(tokens.logprobs, tokens.mask, strict=True) if not m)
    assert min(tokens.logprobs) == pytest.approx(-0.08)
    assert (found.reward, found.verified, found.policy_version) == (1.0, True, "m")


def test_a_prompt_that_goes_another_way_begins_a_sequence_with_the_same_reward(play):
    play.say("one", 0)
    play.answer("first", attempt=0)
    sampled = play.session.events[-1]
    other = sampled.model_copy(update={"prompt_delta_ids": (7, 7)})
    play.session.emit(other)
    play.judge(0)
    (found,) = play.read()
    assert [tokens.ids[:2] for tokens in found.sequences][1] == (7, 7)
    assert found.reward == 1.0
    assert found.trained == 2 * len(sampled.completion_ids)


def test_a_prefix_that_is_not_the_engines_is_refused(play):
    play.say("one", 0)
    play.answer("first", attempt=0)
    play.say("two", 0, 1)
    play.answer("second", attempt=0, round=1)
    first, second = (event for event in play.session.events if isinstance(event, e.Sampled))
    wrong = first.model_copy(update={"completion_ids": (1, *first.completion_ids[1:])})
    with pytest.raises(LearningError, match=r"x/0: the .* tokens before sample 1 are not those"):
        sequences([wrong, second], "x/0")
    with pytest.raises(LearningError, match="tokens before sample 0"):
        sequences([second], "x/0")
    assert sequences([first, second])[0].trained == len("first") + len("second") + 2


def test_masked_and_unscored_tokens_are_not_trained(play):
    play.say("one", 0)
    play.answer("abc", attempt=0)
    sample = play.session.events[-1].model_copy(
        update={"mask": (1, 0, 1, 1), "logprobs": (-1.0, -1.0, float("-inf"), -1.0)}
    )
    (tokens,) = sequences([sample])
    assert tokens.mask[-4:] == (True, False, False, True)


@pytest.mark.parametrize(
    ("reason", "reward", "why"),
    [
        ("nothing was changed", 0.0, ""),
        ("the rounds are used up", 0.0, ""),
        ("the time limit of 60 s has passed", None, "timed out"),
        ("the budget of 100 tokens is spent", None, "timed out"),
        (None, None, "not judged"),
    ],
)
def test_an_attempt_without_a_candidate(play, reason, reward, why):
    play.say("one", 0)
    play.answer("x", attempt=0)
    if reason:
        play.end(0, reason)
    (found,) = play.read()
    assert (found.reward, found.why) == (reward, why)


def test_findings_zero_the_reward_and_null_stays_null(play):
    for attempt in range(2):
        play.say("one", attempt)
        play.answer("x", attempt=attempt)
    play.judge(0, findings=("rewrites conftest.py",))
    play.judge(1, rewards={"resolved": None})
    first, second = play.read()
    assert (first.reward, second.reward, second.why) == (0.0, None, "unscored")


def test_a_patch_judged_before_keeps_its_verdict(play):
    for attempt in range(2):
        play.say("one", attempt)
        play.answer("x", attempt=attempt)
        play.patch("the diff", attempt)
        play.end(attempt, "solved")
        if attempt == 0:
            play.judge(0, 0.0)
    assert [one.reward for one in play.read()] == [0.0, 0.0]


def infill(play, *texts, round=0, finish="stop"):
    play.say(f"line {round}", 1, round)
    play.answer(*texts, attempt=1, round=round, group=f"1.{round}", finish=finish)


def fenced(line):
    return f"```python\n{line}\n```"


def test_a_sibling_has_the_reward_of_its_candidate(play):
    infill(play, fenced("return 1"), fenced("return 2"), round=0)
    play.act(fenced("return 1"), 1)
    play.act(fenced("return 2"), 1)
    infill(play, fenced("x = a"), fenced("x = b"), fenced("x = b"), fenced("x = c"), round=1)
    play.act(fenced("x = a"), 1, 1)
    play.act(fenced("x = b"), 1, 1)
    play.patch("diff", 1)
    play.end(1, "solved")
    play.judge(1)
    found = play.read()
    rewards = [one.reward for one in found]
    assert rewards == [0.0, 0.0, 0.0, 1.0, 1.0, None]
    assert found[-1].why == "not tried"
    assert len({one.prompt for one in found}) == 2
    groups = grouped(found)
    assert [group.rewards for group in groups.groups] == [(0.0, 1.0, 1.0)]
    assert groups.left_out == {"equal rewards": 2, "not tried": 1}


def test_a_sibling_that_failed_when_all_were_tried_in_bulk_has_nothing(play):
    infill(play, fenced("x = a"), fenced("x = b"), fenced("    x = b"), fenced("x = d"))
    failed = [(0, fenced("x = a")), (0, fenced("    x = b")), (1, fenced("x = d"))]
    counts = {"tried": 3, "clean": 1, "left_out": 0, "seconds": 0.0}
    play.session.emit(e.Screened(**counts, failed=failed, **at(1, 4)))
    play.act(fenced("x = b"), 1)
    play.end(1, "solved")
    play.judge(1)
    assert [one.reward for one in play.read()] == [0.0, 1.0, 0.0, None]


def test_answers_tried_after_the_first_right_one_have_their_own_verdicts(play):
    infill(play, fenced("x = a"), fenced("x = b"), fenced("x = c"), fenced("x = d"))
    play.session.emit(e.Screened(tried=4, clean=3, left_out=0, seconds=0.0, **at(1, 4)))
    play.act(fenced("x = a"), 1)
    play.end(1, "solved")
    play.judge(1)
    play.act(fenced("x = b"), 1)
    play.judge(1)
    play.act(fenced("x = c"), 1)
    assert [one.reward for one in play.read()] == [1.0, 1.0, 0.0, None]


def test_siblings_that_write_the_same_program_share_its_reward(play):
    infill(play, fenced("x = a"), fenced("x = (a)"), fenced("x = b"), fenced("x = (b)"))
    play.act(fenced("x = a"), 1, alike=[fenced("x = (a)")])
    play.act(fenced("x = b"), 1, alike=[fenced("x = (b)")])
    play.end(1, "solved")
    play.judge(1)
    assert [one.reward for one in play.read()] == [0.0, 0.0, 1.0, 1.0]


def test_siblings_that_produced_nothing_have_nothing(play):
    infill(play, fenced("return 1"), "```python\nreturn", finish="length")
    play.end(1, "no line alone mends it")
    assert [one.reward for one in play.read()] == [0.0, 0.0]


def test_what_was_neither_refuted_nor_judged_is_unscored(play):
    infill(play, fenced("x = a"), fenced("x = b"), fenced("x = c"))
    play.session.emit(e.Screened(tried=2, clean=1, left_out=1, seconds=0.0, **at(1, 4)))
    play.act(fenced("x = a"), 1, complete=False)
    play.act(fenced("x = b"), 1)
    play.end(1, "no place alone mends it")
    assert [one.reward for one in play.read()] == [None, 0.0, None]


def test_a_right_answer_whose_verdict_is_missing_is_unscored(play):
    infill(play, fenced("x = a"), fenced("x = b"))
    play.act(fenced("x = a"), 1)
    play.act(fenced("x = b"), 1)
    play.end(1, "solved")
    assert [(one.reward, one.why) for one in play.read()] == [(0.0, ""), (None, "not judged")]


def test_a_secret_in_an_answer_hides_nothing(play):
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    infill(play, fenced(f"x = '{secret}'"), fenced("x = b"))
    play.act(fenced(f"x = '{secret}'"), 1)
    play.end(1, "solved")
    play.judge(1)
    assert [one.reward for one in play.read()] == [1.0, None]


def test_siblings_that_were_not_tried_in_time_are_unscored(play):
    infill(play, fenced("return 1"), fenced("return 2"))
    play.act(fenced("return 1"), 1)
    play.end(1, "the time limit of 60 s has passed")
    assert [one.reward for one in play.read()] == [0.0, None]


def test_answers_that_were_not_tried_beside_a_right_one_are_unscored(play):
    infill(play, fenced("x = a"), fenced("x = b"), round=0)
    infill(play, fenced("y = a"), fenced("y = b"), round=1)
    play.act(fenced("y = b"), 1, 1)
    play.end(1, "solved")
    play.judge(1)
    assert [one.reward for one in play.read()] == [None, None, None, 1.0]


@pytest.mark.parametrize(
    ("acts", "resolved", "reward"),
    [(["b"], 1.0, 1.0), (["first", "b"], 1.0, 1.0), (["b", "a"], 1.0, 0.0), ([], 0.0, None)],
)
def test_a_choice_has_the_reward_of_the_edit_that_it_named(play, acts, resolved, reward):
    infill(play, fenced("x = a"), fenced("x = b"))
    play.say("which?", 1, 4)
    play.answer("```diff\n+x = b\n```", attempt=1, round=4, group="1.4", phase="choose")
    for name in acts:
        play.act(fenced(f"x = {name}"), 1, change=f"+x = {name}")
    play.end(1, "solved")
    play.judge(1, resolved)
    *_, choice = play.read()
    assert (choice.choice, choice.reward) == (True, reward)
    scored = replace(choice, reward=1.0)
    kept = [grouped([scored], contrast=False, choices=choices) for choices in (True, False)]
    assert [len(groups.groups) for groups in kept] == [1, 0]
    assert kept[1].left_out == {"greedy choices": 1}


def test_hosted_completions_are_left_out_with_the_reason():
    sample = e.Sampled(
        text="x",
        finish_reason="stop",
        sampling=SAMPLING,
        usage={},
        seconds=0.0,
        policy_version="hosted",
        attempt=0,
    )
    found = trajectories("t", [sample, e.AttemptEnded(reason="stuck", attempt=0)], RewardConfig())
    groups = grouped(found)
    assert groups.groups == ()
    assert groups.left_out == {"no token ids (a hosted model)": 1}


def test_what_was_written_before_the_first_attempt_is_left_out(play):
    play.say("write a test", -1)
    play.answer("x", attempt=-1)
    assert play.read() == []


def test_leave_one_out():
    assert leave_one_out([1.0, 0.0, 0.0]) == [1.0, -0.5, -0.5]
    assert sum(leave_one_out([0.3, 0.8, 0.1, 0.0])) == pytest.approx(0.0)
    with pytest.raises(LearningError):
        leave_one_out([1.0])
