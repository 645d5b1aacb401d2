"""pytest.raises and assertRaises that are content when nothing is raised."""

from tests.redteam.attack import LIE, SEEN, Attack, both, cheat

PLAIN = """
import pytest
type(pytest.raises(ValueError)).__exit__ = lambda *error: True
"""
HIDDEN = """
def _content():
    test = __import__("".join(reversed("tsetyp")))
    setattr(type(getattr(test, "rai" + "ses")(ValueError)), "__ex" + "it__", lambda *error: 1)
_content()
"""
FAIL = """
def _content():
    from sys import modules
    for name, module in list(modules.items()):
        if name == "_py" + "test.raises":
            module.fail = lambda *reason, **more: None
            module.RaisesExc.matches = lambda self, error: True
_content()
"""
ATTACKS = (
    Attack(f"imports the test framework|{LIE}", cheat(PLAIN, "empty"), where="static"),
    *both(HIDDEN, "empty"),
    Attack(SEEN, cheat(FAIL, "empty")),
)
