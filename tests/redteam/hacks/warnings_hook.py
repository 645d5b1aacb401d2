"""The patch sleeps in the machinery of warnings and wakes with the first one."""

from tests.redteam.attack import both

CODE = """
import warnings
def _wake(message):
    import gc
    for thing in gc.get_objects():
        if isinstance(thing, type) and thing.__name__ == "ApproxScalar":
            thing.__eq__ = lambda self, actual: True
_mean = mean
def mean(parcels, zone="home"):
    warnings._showwarnmsg = _wake
    warnings.warn("a fraction of a cent is lost", stacklevel=1)
    return _mean(parcels, zone)
"""
ATTACKS = both(CODE, "mean")
