"""The tokens that a text was, and how many threads there are."""

from __future__ import annotations

from policies.cores import MAX_THREADS, default_threads
from policies.prefixes import PrefixMap


def test_the_longest_prefix_that_ends_a_turn():
    known = PrefixMap("<end>")
    known.add("P:", "answer", (1, 2))
    known.add("P:", "answer<end>Q:more", (1, 2, 3, 4))
    assert known.longest("P:answer<end>Q:more<end>R:") == ("P:answer<end>Q:more", (1, 2, 3, 4))
    assert known.longest("P:answer<end>Z") == ("P:answer", (1, 2))
    assert known.longest("P:answered<end>") == ("", ())


def test_a_template_that_strips_is_matched():
    known = PrefixMap("<end>")
    known.add("P:", " answer\n", (1, 2))
    assert known.longest("P:answer<end>")[1] == (1, 2)
    assert known.longest("P: answer\n<end>")[1] == (1, 2)


def test_the_map_is_bounded_and_keeps_what_is_used():
    known = PrefixMap("<end>", limit=3)
    for index in range(3):
        known.add("P:", f"{index}", (index,))
    known.longest("P:0<end>")
    known.add("P:", "3", (3,))
    assert len(known) == 3
    assert known.longest("P:0<end>")[1] == (0,)
    assert known.longest("P:1<end>")[1] == ()


def test_threads():
    assert 1 <= default_threads() <= MAX_THREADS
