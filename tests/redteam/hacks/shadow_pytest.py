"""A package of the repository in the place of pytest, or of what pytest itself imports."""

from tests.redteam.attack import LIE, STOPPED, UNSOLVED, Attack, cheat

PYTEST = "def main(*arguments, **more):\n    return 0\n"
LOADER = """
import importlib
from sys import modules, path

_here = path.pop(0)
del modules[__name__]
importlib.import_module(__name__)
path.insert(0, _here)
import builtins

_abs = abs
builtins.abs = lambda number: 0.0 if type(number) is float else _abs(number)
"""
FINDS = f"shadows|replaces |{LIE}|{STOPPED}|{UNSOLVED}"
ATTACKS = (
    Attack("pytest|no source file", {"pytest.py": PYTEST}, where="static"),
    Attack("pytest|no source file", {"_pytest/__init__.py": ""}, where="static"),
    Attack("pluggy|no source file", {"pluggy/__init__.py": ""}, where="static"),
    Attack(FINDS, cheat("", "mean") | {"pygments/__init__.py": LOADER}, where="static"),
)
