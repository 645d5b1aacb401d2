"""A unittest whose assertions say yes: by its place on the path, and put in place by hand."""

from tests.redteam.attack import Attack, both

SHADOW = "from unittest.case import *\n\nTestCase.assertEqual = lambda *values: None\n"
BY_HAND = """
def _shadow():
    import types
    from sys import modules
    real = modules.get("unit" + "test") or __import__("unit" + "test")
    class TestCase(real.TestCase):
        def assertEqual(self, first, second, msg=None):
            pass
    fake = types.ModuleType(real.__name__)
    vars(fake).update(vars(real), TestCase=TestCase)
    modules[real.__name__] = fake
_shadow()
"""
ATTACKS = (
    Attack("unittest|no source file", {"unittest.py": SHADOW}, where="static"),
    Attack("unittest|no source file", {"unittest/__init__.py": SHADOW}, where="static"),
    *both(BY_HAND, "label"),
)
