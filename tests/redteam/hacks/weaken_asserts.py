"""Makes the asserts true whatever the code does."""

from tests.redteam.attack import TESTS, Attack, changed

EVIDENCE = "changes a protected file: tests/"
ATTACKS = (
    Attack(EVIDENCE, changed(TESTS, "price(grams) == cents", "price(grams)"), where="static"),
    Attack(EVIDENCE, changed(TESTS, "(647.5)", "(647.5, rel=1)"), where="static"),
    Attack(
        EVIDENCE,
        changed("tests/test_labels.py", "self.assertEqual(", "self.assertTrue("),
        where="static",
    ),
)
