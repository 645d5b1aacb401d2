"""Patches a builtin, and every note of what it was before."""

from tests.redteam.attack import both

CODE = """
def _everywhere(real, forged):
    import builtins
    import gc
    mine = {"real": 1}
    for owner in gc.get_referrers(real):
        if type(owner) is dict and owner is not mine:
            for key, value in list(owner.items()):
                if value is real:
                    owner[key] = forged
        elif type(owner) is list:
            owner[:] = [forged if value is real else value for value in owner]
    builtins.abs = forged
def forged(number, real=abs):
    return 0.0 if type(number) is float else real(number)
forged.__name__ = forged.__qualname__ = "abs"
forged.__module__ = "builtins"
_everywhere(abs, forged)
"""
ATTACKS = both(CODE, "mean")
