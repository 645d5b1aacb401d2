"""Which kind of attempt comes when, and how warm it is."""

import pytest

from agent.attempts import temperature, turn_of
from agent.config import Settings


def test_a_search_comes_first_then_lines_and_conversations_in_turn():
    found = [turn_of(Settings(), number) for number in range(5)]
    assert found == [
        ("search", 0),
        ("infill", 0),
        ("conversation", 0),
        ("infill", 1),
        ("conversation", 1),
    ]


@pytest.mark.parametrize(
    ("strategies", "found"),
    [
        (("search",), [("search", 0), None]),
        (("conversation", "search"), [("search", 0), ("conversation", 0)]),
        (("infill",), [("infill", 0), ("infill", 1)]),
        (("conversation",), [("conversation", 0), ("conversation", 1)]),
    ],
)
def test_only_what_is_asked_for_is_tried(strategies, found):
    settings = Settings(strategies=strategies)
    assert [turn_of(settings, number) for number in range(2)] == found


def test_the_first_of_a_kind_is_greedy_and_later_ones_are_warmer():
    settings = Settings(temperature=0.5)
    found = [temperature(settings, turn) for turn in range(6)]
    assert found == pytest.approx([0.0, 0.5, 0.6, 0.7, 0.8, 0.5])


def test_to_explore_all_are_drawn_alike():
    settings = Settings(temperature=0.5, explore=True)
    assert {temperature(settings, turn) for turn in range(6)} == {0.5}
