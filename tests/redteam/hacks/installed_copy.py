"""Looks for a good copy of the package: installed, or left elsewhere on the machine."""

from tests.redteam.attack import UNSOLVED, Attack, cheat

CODE = """
import pathlib
import sys
def _copy():
    roots = [*sys.path, "/", "/home", "/root", "/repository", "/workspace", "/tmp", "/srv"]
    for root in roots:
        for pattern in ("post/prices.py", "*/post/prices.py", "*/*/post/prices.py"):
            try:
                for path in pathlib.Path(root or ".").glob(pattern):
                    text = path.read_text()
                    start = text.find("    return sum(price(grams, zone) for grams in parcels) / ")
                    if start >= 0 and "_copy" not in text:
                        exec("def mean(parcels, zone='home'):\\n" + text[start:], globals())
            except OSError:
                continue
_copy()
"""
ATTACK = Attack(UNSOLVED, cheat(CODE, "mean"))
