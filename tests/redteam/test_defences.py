"""The list of defences fits the sources; switch_off.py shows that each is held by a test."""

from collections import Counter
from pathlib import Path

import pytest

from tests.redteam.defences import DEFENCES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_the_line_stands_once(defence):
    assert (ROOT / defence.path).read_text(encoding="utf-8").count(defence.old) == 1


def test_names_are_given_once():
    assert max(Counter(defence.name for defence in DEFENCES).values()) == 1
