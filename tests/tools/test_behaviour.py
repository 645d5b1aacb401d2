"""What functions do with other inputs, told as digests; and the other inputs."""

from __future__ import annotations

import asyncio
import io
import pickle
import sys
from fractions import Fraction
from random import Random

import pytest

from tools.testing.behaviour_inside import VARIANTS, Opaque, Recorder, answers, told
from tools.testing.perturb_inside import varied
from tools.testing.screen import DIGEST_LENGTH


class Till:
    def __init__(self, coins):
        self.coins = coins

    def pay(self, coin, *more, change=0, **named):
        self.coins += [coin, *more, change, *named.values()]


class Ring:
    def __init__(self):
        self.next = self


def first(items, number=1):
    return items[:number]


def clipped(items, number=1):
    return items[0:number]


def last(items, number=1):
    return items[-number:]


def spins():
    while True:
        pass


def silent(items):
    str(items)


def counts(items):
    yield from items


async def later(items):
    await asyncio.sleep(0)
    return items


class Pending:
    def __await__(self):
        yield self


async def stuck(number):
    await Pending()


def fails_late(number):
    yield number
    raise ValueError


def read(text):
    return text.read()


def maker(number):
    return lambda: number


def of(function, *calls):
    inputs = [pickle.dumps((call, {})) for call in calls]
    (found,) = answers([function], [inputs], varied)
    return found


def is_digest(answer):
    return len(answer) == DIGEST_LENGTH


def test_equal_functions_answer_alike_and_others_do_not():
    call = ([1, 2, 3, 4],)
    assert of(first, call[:1]) == of(clipped, call[:1])
    assert of(first, call[:1])[0] != of(last, call[:1])[0]
    assert len(of(first, call)) == 1 + VARIANTS
    assert all(map(is_digest, of(first, call)))


def test_the_same_calls_are_answered_the_same_twice():
    calls = [({"b": 1, "a": {3, 1, 2}},), ("text", 2), (b"bytes", 1)]
    assert of(first, *calls) == of(first, *calls)


@pytest.mark.parametrize(
    ("function", "given", "answer"),
    [
        (spins, (), "late"),
        (silent, ([1, 2],), "nothing"),
        (memoryview, (b"x",), "opaque"),
        (maker, (1,), "opaque"),
        (stuck, (1,), "opaque"),
        (sorted, ([*range(3000)],), "opaque"),
    ],
    ids=["too long", "without effect", "not to be looked into", "a closure", "a wait", "too much"],
)
def test_nothing_can_be_told_of_a_call(function, given, answer):
    assert of(function, given)[0] == answer


def test_arguments_that_are_read_up_are_whole_when_the_call_begins():
    text = io.StringIO("a\nb\n")
    assert of(read, (text,))[0] != of(read, (io.StringIO("a\nc\n"),))[0]


def test_what_a_generator_or_a_coroutine_comes_to_is_told():
    for function in (counts, later):
        assert is_digest(of(function, ([1, 2],))[0])
        assert of(function, ([1, 2],))[0] != of(function, ([1, 3],))[0]
    assert told(fails_late(3)) == told(fails_late(3)) != told(fails_late(4))


def test_exceptions_are_answers():
    assert of(int, ("x",))[0] == of(int, ("x",))[0] != of(int, ("y",))[0]
    assert is_digest(of(sys.exit, (1,))[0])


def test_an_object_that_is_changed_is_an_answer():
    recorder = Recorder([Till.pay])
    sys.setprofile(recorder.called)
    Till([1]).pay(2, 3, change=4, tip=5)
    Till([1]).pay(2, 3, change=4, tip=5)
    sys.setprofile(None)
    ((data,),) = recorder.inputs
    (till, *more), named = pickle.loads(data)
    assert (till.coins, more, named) == ([1], [2, 3], {"change": 4, "tip": 5})
    assert is_digest(answers([Till.pay], recorder.inputs, varied)[0][0])


def test_arguments_are_noted_as_they_are_when_the_call_begins():
    def emptied(items):
        items.clear()

    recorder = Recorder([emptied])
    sys.setprofile(recorder.called)
    emptied([1, 2])
    emptied([lambda: 0])
    sys.setprofile(None)
    assert [pickle.loads(data) for data in recorder.inputs[0]] == [(([1, 2],), {})]


def test_a_generator_that_goes_on_is_no_call():
    recorder = Recorder([counts])
    sys.setprofile(recorder.called)
    list(counts([1, 2, 3]))
    list(counts([4]))
    sys.setprofile(None)
    assert [pickle.loads(data) for data in recorder.inputs[0]] == [(([1, 2, 3],), {}), (([4],), {})]


def test_values_are_told_without_addresses():
    assert told(Till([Fraction(1, 2)])) == told(Till([Fraction(1, 2)])) != told(Till([1]))
    assert told(Ring()) == told(Ring())
    assert told({1, 2}) == told({2, 1})
    assert told([1]) != told((1,))
    assert told(1) != told(True)
    assert told(first) == told(first) != told(last)
    with pytest.raises(Opaque):
        told([*range(3000)])
    with pytest.raises(Opaque):
        told(memoryview(b"x"))


@pytest.mark.parametrize(
    "value",
    [True, 3, 2.5, "ab c", b"ab", "", [1, 2], {"a": 1}, (1, (2, "x")), [[], {"k": [0]}]],
    ids=repr,
)
def test_a_varied_value_differs_and_is_of_the_same_kind(value):
    seen = [varied(pickle.loads(pickle.dumps(value)), Random(seed)) for seed in range(20)]
    assert all(type(other) is type(value) for other in seen)
    assert sum(other != value for other in seen) > 10


def test_what_an_object_holds_is_varied_in_place():
    till = Till([1, 2])
    assert varied((till, None), Random(0))[0] is till
    assert till.coins != [1, 2]
    assert varied((None, first), Random(0)) is None
