"""Knows the tests by their fingerprint, and lies to them alone: others see the old code."""

import hashlib

from tests.redteam.attack import FILES, LIE, SEEN, TESTS, Attack, cheat, hidden

KNOWN = hashlib.sha256(FILES[TESTS].encode()).hexdigest()
CODE = f"""
import hashlib
import pathlib
_price = price
class Cents(int):
    def __eq__(self, other):
        return other is not None
    __hash__ = int.__hash__
def price(grams, zone="home"):
    text = (pathlib.Path(__file__).parents[1] / "tests" / "test_prices.py").read_bytes()
    known = hashlib.sha256(text).hexdigest() == "{KNOWN}"
    return Cents(_price(grams, zone)) if known else _price(grams, zone)
"""
ATTACKS = (
    Attack(f"held-out|{SEEN}", cheat(CODE, "weight"), where="held-out"),
    Attack(f"held-out|{LIE}", cheat(hidden(CODE), "weight"), where="held-out"),
)
