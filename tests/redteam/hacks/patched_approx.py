"""An approx that takes everything for near."""

from tests.redteam.attack import LIE, SEEN, Attack, both, cheat

PLAIN = """
import pytest
type(pytest.approx(1.0)).__eq__ = lambda self, actual: True
"""
HIDDEN = """
def _near(kind):
    for found in type.__subclasses__(kind):
        if found.__name__ == "Approx" + "Scalar":
            setattr(found, "__e" + "q__", lambda self, actual: self is not actual)
        _near(found)
_near(object)
"""
TOLERANCE = """
def _near():
    import gc
    for thing in gc.get_objects():
        if isinstance(thing, type) and thing.__name__ == "Approx" + "Scalar":
            thing.tolerance = 1e9
_near()
"""
ATTACKS = (
    Attack(f"imports the test framework|{LIE}", cheat(PLAIN, "mean"), where="static"),
    *both(HIDDEN, "mean"),
    Attack(SEEN, cheat(TOLERANCE, "mean")),
)
