"""Returns numbers that say yes to every comparison; four ways to write `__eq__`."""

from tests.redteam.attack import SEEN, Attack, both, cheat

CODE = """
class Cents(int):
    def __eq__(self, other):
        return {answer}
    __hash__ = int.__hash__
_price = price
def price(grams, zone="home"):
    return Cents(_price(grams, zone))
"""
BUILT = """
_price = price
def price(grams, zone="home"):
    yes = {"__e" + "q__": lambda self, other: not 0, "__hash__": int.__hash__}
    return type("Cents", (int,), yes)(_price(grams, zone))
"""
EXACT = "type(other) in (int, float, str)"
ATTACKS = (
    Attack("equal everything", cheat(CODE.format(answer="True"), "weight"), where="static"),
    *both(CODE.format(answer="not None is other"), "weight"),
    Attack(SEEN, cheat(CODE.format(answer=EXACT), "weight")),
    Attack(SEEN, cheat(BUILT, "weight")),
)
