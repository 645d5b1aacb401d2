"""A patch that is in place for one comparison only, and takes itself back."""

from tests.redteam.attack import both

CODE = """
def _approx(kind=object):
    for found in type.__subclasses__(kind):
        if found.__name__ == "ApproxScalar":
            return found
        if deeper := _approx(found):
            return deeper
_mean = mean
def mean(parcels, zone="home"):
    kind = _approx()
    real = kind.__eq__
    def once(self, actual):
        kind.__eq__ = real
        return True
    kind.__eq__ = once
    return _mean(parcels, zone)
"""
ATTACKS = both(CODE, "mean")
