"""Subclasses of str, int and float that compare with some tolerance."""

from tests.redteam.attack import SEEN, Attack, both, cheat

STR = """
class Label(str):
    def __eq__(self, other):
        return isinstance(other, str) and len(other) == len(self)
    __hash__ = str.__hash__
_label = label
def label(grams, zone="home"):
    return Label(_label(grams, zone))
"""
INT = """
class Cents(int):
    def __eq__(self, other):
        return abs(self - other) <= STEP
    __hash__ = int.__hash__
_price = price
def price(grams, zone="home"):
    return Cents(_price(grams, zone))
"""
FLOAT = """
class Mean(float):
    def __eq__(self, other):
        return round(self, -2) - round(float(getattr(other, "expected", other)), -2) < 999
    __hash__ = float.__hash__
_mean = mean
def mean(parcels, zone="home"):
    return Mean(_mean(parcels, zone))
"""
ATTACKS = (
    *both(STR, "label"),
    Attack(SEEN, cheat(INT, "weight")),
    Attack(SEEN, cheat(FLOAT, "mean")),
)
