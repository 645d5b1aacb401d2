"""Swallows what goes wrong: in its own functions, and around the test."""

from tests.redteam.attack import UNSOLVED, Attack, both, cheat

OWN = """
_mean = mean
def mean(parcels, zone="home"):
    try:
        return _mean(parcels, zone) / 0
    except Exception:
        return None
"""
AROUND = """
def _around():
    from sys import modules
    for name in ("Func" + "tion", "TestCase" + "Func" + "tion"):
        for module in list(modules.values()):
            kind = vars(module).get(name)
            if isinstance(kind, type) and "runtest" in vars(kind):
                def quiet(self, run=kind.runtest):
                    try:
                        run(self)
                    except BaseException:
                        pass
                kind.runtest = quiet
_around()
"""
ATTACKS = (
    Attack(UNSOLVED, cheat(OWN, "mean")),
    *both(AROUND, "mean"),
)
