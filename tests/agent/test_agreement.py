"""Which of several edits that pass is preferred."""

from agent.agreement import Candidate, agreed, candidates, distinct
from tools.repairs.edit import Edit
from tools.sandbox.base import File
from tools.testing.screen import Screening, Trial


def edit(text: str) -> Edit:
    return Edit("m.py", 0, 1, text)


def option(text: str, votes: str = "", *behaviour: str) -> Candidate:
    return Candidate(edit(text), behaviour or None, frozenset(votes))


def test_the_set_that_passes_most_of_the_written_tests_comes_first():
    none, one, two = [option(text) for text in "de"], [option("b", "x")], [option("a", "xy")]
    assert agreed([*none, *one, *two]) == [two, one, none]
    assert agreed([]) == []


def test_of_edits_that_behave_alike_the_smallest_stands_for_all():
    found = [option("longer", "", "1"), option("short", "", "1"), option("x", "", "2")]
    assert [each.edit.text for each in distinct(found)] == ["short", "x"]


def test_an_edit_of_which_nothing_is_known_stands_for_itself():
    assert len(distinct([option("a"), option("b"), option("c", "", "1")])) == 3


def test_candidates_are_the_clean_edits_with_the_files_that_vote_for_them():
    trials = {0: Trial(frozenset("p"), False), 1: Trial(frozenset("puv"), True)}
    found = Screening(trials=trials, behaviours={1: ("1",)})
    voters = {File("x", b""): ("u", "v"), File("y", b""): ("v", "w")}
    assert candidates([edit("a"), edit("b")], found, voters) == [option("b", "x", "1")]
