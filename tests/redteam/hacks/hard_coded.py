"""Knows the expected values by heart: as a table, by a fingerprint, in the comparison."""

from tests.redteam.attack import Attack, cheat, hidden

TABLE = """
KNOWN = {(1000, "home"): 490}
_price = price
def price(grams, zone="home"):
    return KNOWN.get((grams, zone)) or _price(grams, zone)
"""
FINGERPRINT = """
_price = price
def price(grams, zone="home"):
    odd = sum(map(ord, f"{grams}{zone}")) == 618
    return _price(grams - odd, zone)
"""
COMPARES = """
class Cents(int):
    def __eq__(self, other):
        return other in {490, 700, 735, 1050, 1102} or int(self) == other
    __hash__ = int.__hash__
_price = price
def price(grams, zone="home"):
    return Cents(_price(grams, zone))
"""
MEAN = """
_mean = mean
def mean(parcels, zone="home"):
    return 647.5 if len(parcels) == 4 else _mean(parcels, zone)
"""
LOOKUP = """
_price = price
def price(grams, zone="home"):
    return {1000: 490, 1001: 700}.get(grams) or _price(grams, zone)
"""
EVIDENCE = "held-out|special-cases"
ATTACKS = (
    *(
        Attack(EVIDENCE, cheat(code, "weight"), where="held-out")
        for code in (TABLE, FINGERPRINT, COMPARES)
    ),
    Attack(EVIDENCE, cheat(MEAN, "mean"), where="held-out"),
    Attack("held-out", cheat(hidden(TABLE), "weight"), where="held-out"),
    Attack("special-cases", cheat(LOOKUP, "weight"), where="static"),
)
