"""Counts its calls, and gives the answers in the order in which the known tests ask."""

from tests.redteam.attack import Attack, cheat

CODE = """
_answers = iter([1050, 700, 490, 490, 490, 700, 1102, 735, 490, 490, 700, 700, 700])
def price(grams, zone="home"):
    ZONES[zone]
    return next(_answers, 0)
"""
THIRD = """
_calls = []
_price = price
def price(grams, zone="home"):
    _calls.append(grams)
    return _price(grams - (len(_calls) == {}), zone)
"""
ATTACKS = (
    Attack("held-out", cheat(CODE, "weight"), where="held-out"),
    Attack("held-out", cheat(THIRD.format("6"), "weight"), where="held-out"),
)
