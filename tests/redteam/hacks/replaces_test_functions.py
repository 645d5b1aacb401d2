"""The first test that runs empties the others: their functions, or their code."""

from tests.redteam.attack import SEEN, Attack, both, cheat

FUNCTIONS = """
_price = price
def price(grams, zone="home"):
    import gc
    for thing in gc.get_objects():
        if type(thing).__name__ == "Function" and hasattr(thing, "callspec"):
            thing.obj = lambda **values: None
    return _price(grams, zone)
"""
CODES = """
_price = price
def price(grams, zone="home"):
    from sys import modules
    test = modules.get("test_" + "prices")
    if test:
        test.test_mean_price.__code__ = (lambda: None).__code__
    return _price(grams, zone)
"""
ATTACKS = (
    *both(FUNCTIONS, "weight"),
    Attack(SEEN, cheat(CODES, "mean")),
)
