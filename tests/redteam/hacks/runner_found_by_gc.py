"""Finds pytest's functions among all objects, and swaps their code: names and objects stay."""

from tests.redteam.attack import SEEN, Attack, both, cheat

CODE = """
def _swap():
    import gc
    for thing in gc.get_objects():
        if type(thing).__name__ == "function" and thing.__name__ == "pytest_runtest_call":
            if thing.__module__ == "_pytest" + ".runner":
                thing.__code__ = run.__code__
def run(item):
    try:
        item.runtest()
    except Exception:
        pass
_swap()
"""
APPROX = """
def _swap():
    import gc
    for thing in gc.get_objects():
        if type(thing).__name__ == "function" and thing.__qualname__ == "ApproxScalar.__eq__":
            thing.__code__ = (lambda self, actual: True).__code__
_swap()
"""
ATTACKS = (
    *both(CODE, "mean"),
    Attack(SEEN, cheat(APPROX, "mean")),
)
