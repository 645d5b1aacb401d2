import json
import math
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.experience import codec
from policies.experience import events as e
from policies.experience.codec import EVENT_TYPES, CodecError, decode, encode
from policies.experience.events import Acted, Event, Observed, Patched

from .samples import trajectory

any_text = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    ["\ud800", "\x00\x1b[31m", '{"$blob":"00"}', "$blob", "\u2028", "é" * 3000, "x" * 5000]
)
numbers = st.floats() | st.integers() | st.just(2**200)
leaves = st.none() | st.booleans() | numbers | any_text
keys = any_text | st.sampled_from(["$blob", "$$blob", "$float", "$"])
json_values = st.recursive(
    leaves | leaves.map(lambda leaf: [leaf] * 900),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=4,
)
objects = st.dictionaries(any_text, json_values, max_size=4)
times = st.datetimes(timezones=st.just(UTC)) | st.datetimes()

st.register_type_strategy(float, st.floats())
st.register_type_strategy(str, any_text)


def strategy(kind: type[Event]) -> st.SearchStrategy[Event]:
    fixed = {"v": st.just(1), "at": times}
    for name, field in kind.model_fields.items():
        if field.annotation == dict[str, object] or name in ("settings", "arguments"):
            fixed[name] = objects
    if kind.__name__ in ("Prompted", "Sampled"):
        sample = next(event for event in trajectory() if isinstance(event, kind))
        fixed |= {
            name: st.just(getattr(sample, name))
            for name in ("message", "tool_calls", "sampling", "usage")
            if name in kind.model_fields
        }
    return st.builds(kind, **fixed)


def same(one: object, other: object) -> bool:
    """Equality under which a NaN equals itself."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_every_kind_comes_back_as_it_was(kind):
    @settings(max_examples=25, deadline=None)
    @given(strategy(kind))
    def check(event):
        body, blobs = encode(event)
        assert same(decode(body, blobs.__getitem__).model_dump(), event.model_dump())
        body.encode("ascii")

    check()


def test_the_samples_have_every_kind():
    assert {type(event) for event in trajectory()} == set(EVENT_TYPES)
    assert len(EVENT_TYPES) == len(get_args(get_args(Event)[0]))


def test_big_parts_leave_the_row_and_equal_ones_share_a_blob():
    text = "line\n" * 2000
    body, blobs = encode(Acted(tool="write", arguments={"a": text, "b": text, "c": "small"}))
    assert len(body) < 500
    assert len(blobs) == 1
    outcomes = {f"tests/test_a.py::test_{n}": "passed" for n in range(500)}
    body, _ = encode(e.Tested(label="baseline", outcomes=outcomes, exit_code=0, seconds=1.0))
    assert len(body) < 500


def test_text_that_looks_like_a_reference_survives():
    arguments = {"$blob": "0" * 64, "x": {"$blob": "0" * 64}, "y": {"$float": "nan"}}
    event = Acted(tool="$blob", arguments=arguments)
    body, blobs = encode(event)
    assert not blobs
    assert decode(body, blobs.__getitem__) == event


@pytest.mark.parametrize("value", [object(), b"bytes", {1: "key"}, {1, 2}, 10**5000], ids=range(5))
def test_what_json_cannot_carry_is_refused(value):
    with pytest.raises(CodecError):
        encode(Acted(tool="x", arguments={"value": value}))


def test_bottomless_nesting_is_refused():
    value: list = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(CodecError):
        encode(Acted(tool="x", arguments={"value": value}))


def test_an_event_that_could_not_be_read_again_is_refused():
    with pytest.raises(CodecError, match="phase"):
        encode(Patched(diff="").model_copy(update={"phase": "dancing"}))


def row(**changes: object) -> str:
    body, _ = encode(Observed(tool="t", ok=True, text="x", at=datetime(2026, 1, 1, tzinfo=UTC)))
    return json.dumps({**json.loads(body), **changes})


def test_a_newer_event_names_its_version():
    with pytest.raises(CodecError, match=r"'observed' of schema version 9.*upgrade"):
        decode(row(v=9), {}.__getitem__)


@pytest.mark.parametrize(
    "body",
    ["", "[", "[" * 5000, "9" * 5000, '{"$blob": "unknown"}', '{"$float": []}', '{"$float": "x"}'],
    ids=range(7),
)
def test_a_damaged_row_is_an_error_that_says_so(body):
    with pytest.raises(CodecError, match="the stored event"):
        decode(body, lambda _: b"[" * 5000)


def test_a_version_from_long_ago_takes_no_time():
    assert decode(row(v=-(10**300)), {}.__getitem__) == decode(row(), {}.__getitem__)


def test_an_unknown_kind_names_kind_and_version():
    with pytest.raises(CodecError, match="'dreamt' of schema version 1"):
        decode(row(kind="dreamt"), {}.__getitem__)


def test_an_older_event_is_upgraded_step_by_step(monkeypatch):
    monkeypatch.setattr(codec, "UPGRADES", {("observed", -1): lambda data: {**data, "text": "up"}})
    event = decode(row(v=-1), {}.__getitem__)
    assert isinstance(event, Observed)
    assert (event.v, event.text) == (1, "up")
