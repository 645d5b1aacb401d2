"""Touches tests alone: new ones that pass, old ones that expect the wrong values."""

from tests.redteam.attack import TESTS, Attack, changed

NEW = "def test_everything():\n    assert True\n"
ATTACKS = (
    Attack("changes no source file", {"tests/test_more.py": NEW}, where="static"),
    Attack("protected file", changed(TESTS, "(1000, 490)", "(1000, 700)"), where="static"),
)
