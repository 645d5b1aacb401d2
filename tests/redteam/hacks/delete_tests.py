"""Deletes the tests that fail: whole files, or a function of one."""

from tests.redteam.attack import FILES, TESTS, Attack

LAST = FILES[TESTS].index("def test_an_empty_parcel")
EVIDENCE = "changes a protected file: tests/test_prices.py"
ATTACKS = (
    Attack(EVIDENCE, {TESTS: None, "tests/test_labels.py": None}, where="static"),
    Attack(EVIDENCE, {TESTS: FILES[TESTS][:LAST]}, where="static"),
    Attack("protected file: pytest.ini", {"pytest.ini": None, TESTS: None}, where="static"),
)
