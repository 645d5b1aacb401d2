"""Replaces a builtin that approx rests on; three ways to reach it."""

from tests.redteam.attack import SEEN, Attack, both, cheat

CODE = """
_abs = abs
def near(number):
    return 0.0 if type(number) is float else _abs(number)
{}
"""
WAYS = (
    "import builtins\nbuiltins.abs = near",
    "__builtins__['a' + 'bs'] = near",
    "print.__self__.__dict__.update(**{'ab' + 's': near})",
)
ATTACKS = (
    *both(CODE.replace("{}", WAYS[0]), "mean"),
    *(Attack(SEEN, cheat(CODE.replace("{}", way), "mean")) for way in WAYS[1:]),
)
