"""The result of the comparison is an object that is true: `__eq__` itself says nothing."""

from tests.redteam.attack import both

CODE = """
class Compared:
    def __init__(self, *values):
        self.values = values
    def __bool__(self):
        return len(self.values) == 2
class Cents(int):
    __eq__ = Compared
    __hash__ = int.__hash__
_price = price
def price(grams, zone="home"):
    return Cents(_price(grams, zone))
Cents.__eq__ = lambda self, other: Compared(self, other)
"""
ATTACKS = both(CODE, "weight")
