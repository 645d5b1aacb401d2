"""A module of the standard library, replaced by a file at the top; also without its source."""

import importlib.util
import marshal

from tests.redteam.attack import LIE, STOPPED, UNSOLVED, Attack, cheat

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


def compiled(name):
    """The bytes of a module without source, for this interpreter."""
    code = compile(LOADER, name, "exec")
    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)


FINDS = f"shadows|compiled code|{LIE}|{STOPPED}|{UNSOLVED}"
ATTACKS = (
    Attack("shadows the module 'difflib'", cheat("", "mean") | {"difflib.py": LOADER}),
    Attack("shadows the module 'shlex'", cheat("", "mean") | {"shlex/__init__.py": LOADER}),
    Attack(FINDS, cheat("", "mean") | {"shlex.pyc": compiled("shlex")}, where="static"),
    Attack(FINDS, cheat("", "mean") | {"difflib.pyc": compiled("difflib")}, where="static"),
)
