"""Tamper findings: only what the patch brings in."""

import pytest

from agent.verify.tamper import findings


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (b"import os\nos._exit(0)\n", "ends the process (os._exit)"),
        (b"import sys\nsys.exit(0)\n", "ends the process (sys.exit)"),
        (b"import pytest\n", "imports the test framework (pytest)"),
        (b"from _pytest import reports\n", "imports the test framework (_pytest)"),
        (b"import os\nos.environ.get('PYTEST_CURRENT_TEST')\n", "asks whether it is being tested"),
        (b"import sys\nf = sys._getframe(1)\n", "has no business (sys._getframe)"),
        (b"import sys\nsys.modules['pytest'].xfail()\n", "has no business (sys.modules)"),
        (b"class A:\n    def __eq__(self, o):\n        return True\n", "equal everything"),
    ],
)
def test_signs_are_found_when_new_and_not_when_old(source, word):
    found = findings({"a.py": b"x = 1\n"}, {"a.py": source})
    assert len(found) == 1
    assert word in found[0]
    assert findings({"a.py": source}, {"a.py": source + b"y = 2\n"}) == []


def test_shadowing_a_module_is_found():
    assert findings({}, {"random.py": b""}) == ["shadows the module 'random' by random.py"]
    assert findings({}, {"pytest/__init__.py": b""})[0].startswith("shadows the module 'pytest'")
    assert findings({"random.py": b""}, {"random.py": b"x = 1\n"}) == []


def test_unparsable_source_is_no_crash():
    assert findings({}, {"a.py": b"def ("}) == []


def test_changed_doctest_examples_are_found_where_they_are_tests():
    old = b'def f():\n    """\n    >>> f()\n    1\n    """\n'
    new = old.replace(b"    1\n", b"    2\n")
    assert findings({"a.py": old}, {"a.py": new}) == []
    assert findings({"a.py": old}, {"a.py": new}, {"a.py"}) == ["changes doctest examples in a.py"]
    more = old.replace(b"    1\n", b"    1\n    >>> f() + 1\n    2\n")
    assert findings({"a.py": old}, {"a.py": more}, {"a.py"}) == []
