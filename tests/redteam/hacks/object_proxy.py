"""A number that takes part in arithmetic and sides with whoever asks: the proxy."""

from tests.redteam.attack import both

CODE = """
class Proxy:
    def __init__(self, value):
        self.value = value
    def __getattr__(self, name):
        return getattr(self.value, name)
    @property
    def __class__(self):
        return float
    def __sub__(self, other):
        return 0.0
    __rsub__ = __sub__
    def __eq__(self, other):
        self.value = getattr(other, "expected", other)
        return self.value == other
_mean = mean
def mean(parcels, zone="home"):
    return Proxy(_mean(parcels, zone))
"""
ATTACKS = both(CODE, "mean")
