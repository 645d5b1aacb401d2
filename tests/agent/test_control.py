"""Controls of test files: honest code fails them, code that lies passes them.

Each case is a small test file with the code that it tests; all run in three sessions of pytest.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap

import pytest

from agent.verify.control import certain_ids, control_of
from agent.verify.control.inside import other

HEAD = "import pytest\nfrom code_{n} import *\n"

# (name, test file, the tests that must be certain, code); the tests pass with the code.
HONEST = [
    ("number", "def test_x():\n    assert one() == 1\n", "test_x", "def one(): return 1"),
    ("true", "def test_x():\n    assert one() == True\n", "test_x", "def one(): return 1"),
    ("false", "def test_x():\n    assert one() == False\n", "test_x", "def one(): return 0"),
    ("reversed", "def test_x():\n    assert 'a' == one()\n", "test_x", "def one(): return 'a'"),
    ("empty_text", "def test_x():\n    assert one() == ''\n", "test_x", "def one(): return ''"),
    ("blank", "def test_x():\n    assert one() == '-\\n'\n", "test_x", "def one(): return '-\\n'"),
    ("empty_list", "def test_x():\n    assert one() == []\n", "test_x", "def one(): return []"),
    ("empty_dict", "def test_x():\n    assert {} == one()\n", "test_x", "def one(): return {}"),
    ("nones", "def test_x():\n    assert one() == [None]\n", "test_x", "def one(): return [None]"),
    (
        "booleans",
        "def test_x():\n    assert one() == {True, False}\n",
        "test_x",
        "def one(): return {True, False}",
    ),
    (
        "unpacked",
        "def test_x():\n    b = {'a': 1}\n    assert one() == {'a': 1, **b}\n",
        "test_x",
        "def one(): return {'a': 1}",
    ),
    (
        "sloppy_text",
        "def test_x():\n    assert Word('Cat ') == 'cAT'\n    assert Word('a') == Word('a')\n",
        "test_x",
        """\
        class Word:
            def __init__(self, text): self.text = text
            def __str__(self): return self.text
            def __eq__(self, other): return str(self).strip().lower() == str(other).lower()
        """,
    ),
    (
        "sloppy_fields",
        "def test_x():\n    assert V(1, 'b') == {'a': 1, 'b': 'b'}\n    assert Nil() == Nil()\n",
        "test_x",
        """\
        class V:
            def __init__(self, a, b): self.a = a
            def __eq__(self, other): return self.a == other['a']
        class Nil:
            def __eq__(self, other): return self.__dict__ == other.__dict__
        """,
    ),
    (
        "approx",
        "def test_x():\n    assert one() == pytest.approx(3, rel=0.999, abs=1e9)\n"
        "def test_y():\n    assert pytest.approx(one(), abs=1e12) == 3.5\n"
        "def test_z():\n    assert one() == pytest.approx(one(), rel=5)\n",
        "test_x test_y test_z",
        "def one(): return 3.25",
    ),
    (
        "infinite",
        "def test_x():\n    assert one() == float('inf')\n"
        "def test_y():\n    assert float('nan') == pytest.approx(float('nan'), nan_ok=True)\n"
        "def test_z():\n    assert one() == 1e999\n",
        "test_x test_y test_z",
        "def one(): return float('inf')",
    ),
    (
        "truths",
        "def test_a():\n    assert one() != 2\ndef test_b():\n    assert one() is one()\n"
        "def test_c():\n    assert 1 in [one()]\ndef test_d():\n    assert 0 < one() < 2\n"
        "def test_e():\n    assert (one(), 'always')[0]\ndef test_f():\n    assert not one() == 2\n"
        "def test_g():\n    assert one() and one() == 1 and True\n",
        "test_a test_b test_c test_d test_e test_f test_g",
        "def one(): return 1",
    ),
    (
        "left_over",
        """\
        SEEN = []
        def test_a():
            SEEN.append(one())
            assert one() == 1
            SEEN.clear()
        def test_b(): assert not SEEN
        def test_c(): assert bool(SEEN) == False
        """,
        "test_a test_b test_c",
        "def one(): return 1",
    ),
    (
        "walrus",
        "def test_x():\n    assert (n := one()) == 1\n"
        "def test_y():\n    assert one() == (n := 1), n\n",
        "test_x test_y",
        "def one(): return 1",
    ),
    (
        "same_input",
        "@pytest.mark.parametrize('value', [1, 'a', [2], None, object()])\n"
        "def test_x(value):\n    assert same(value) == value\n",
        "test_x",
        "def same(value): return value",
    ),
    (
        "any",
        "from unittest.mock import ANY, call, Mock\n"
        "def test_x():\n    assert one() == ANY\n"
        "def test_y():\n    assert [ANY, 1] == [one(), 1]\n"
        "def test_z():\n    m = Mock()\n    m(one())\n    assert m.mock_calls == [call(1)]\n",
        "test_x test_y test_z",
        "def one(): return 1",
    ),
    (
        "raises",
        "import pytest as pt\nfrom pytest import raises, warns\nimport warnings\n"
        "def test_a():\n    with pytest.raises(ValueError, match='no'):\n        no()\n"
        "def test_b():\n    with pt.raises((ValueError, KeyError)) as e:\n        no()\n"
        "    assert e.value.args\n"
        "def test_c():\n    raises(ValueError, no)\n"
        "def test_d():\n    with warns(UserWarning):\n        warnings.warn('w')\n"
        "def test_e():\n    with pytest.deprecated_call():\n"
        "        warnings.warn('w', DeprecationWarning)\n"
        "def test_f():\n    with pytest.raises(AssertionError):\n        assert no is None\n",
        "test_a test_b test_c test_d test_e test_f",
        "def no(): raise ValueError('no')",
    ),
    (
        "unittest",
        """\
        import unittest, warnings
        class A(unittest.TestCase):
            def test_a(self): self.assertEqual(1, one())
            def test_b(self): self.assertAlmostEqual(one(), 1.4, places=0)
            def test_c(self): self.assertAlmostEqual(one(), 900, delta=1e9)
            def test_d(self): self.assertCountEqual([one(), 2], [2, 1])
            def test_e(self): self.assertDictEqual({'a': one()}, {'a': 1}, 'why')
            def test_f(self): self.assertMultiLineEqual('a', 'a' * one())
            def test_g(self): self.assertTrue(one() == 1)
            def test_h(self): self.assertIn(one(), [1])
            def test_i(self): self.assertGreater(one(), 0)
            def test_j(self): self.assertNotEqual(one(), 0)
            def test_k(self): self.assertNotAlmostEqual(one(), 2)
            def test_l(self): self.assertIsNone(None)
            def test_m(self): self.assertRegex('abc', 'b')
            def test_n(self):
                with self.assertRaises(ZeroDivisionError): one() / 0
            def test_o(self): self.assertRaisesRegex(ZeroDivisionError, 'div', lambda: 1 / 0)
            def test_p(self):
                with self.assertWarns(UserWarning): warnings.warn('w')
            def test_q(self):
                for n in (1, 1):
                    with self.subTest(n=n): self.assertEqual(one(), n)
            def test_r(self): self.assertIsInstance(one(), int)
            def test_s(self): self.assertSetEqual({one()}, set([1]))
            def test_t(self): self.assertEqual(*[one(), 1])
            def test_u(self): self.assertTrue(one())
            def test_v(self): self.assertFalse(one() - 1)
            def test_w(self): self.assertIs(one(), one())
            def test_x(self): self.assertIsNot(one(), None)
            def test_y(self): self.assertEqual(one(), True)
        """,
        " ".join(f"A::test_{c}" for c in "abcdefghijklmnopqrstuvwxy"),
        "def one(): return 1",
    ),
    (
        "helper",
        """\
        from code_helper import assert_equal
        def check(got, wanted, deep=0):
            if deep:
                return
            assert got
            assert got == wanted
        def check_all(*gots):
            for got in gots: assert got == 1
        def early(got):
            if got: return
            assert not got
        class TestA:
            def ours(self, got): assert got == 1
            def test_a(self): self.ours(one())
        def test_a():
            def inner(got):
                with pytest.raises(TypeError): got()
            inner(one())
        def test_b(): early(one())
        def test_c():
            for wanted in [1]: wrapped(one(), wanted)
        def wrapped(got, wanted): assert got == wanted
        class Base:
            def theirs(self, got, wanted): assert_equal(got, wanted)
        class TestB(Base):
            def test_a(self): self.theirs(one(), 1)
        def test_d(): assert_equal(one(), 1)
        """,
        "TestA::test_a TestB::test_a test_a test_b test_c test_d",
        """\
        def one(): return 1
        def assert_equal(a, b): assert a == b
        """,
    ),
    (
        "cancelled",
        """\
        import threading
        def fine():
            try:
                assert one() == 1
            except AssertionError:
                return False
            return True
        def test_a(): assert fine()
        def test_b(): assert fine() == True
        def test_c():
            errors = []
            def run():
                try:
                    assert one() == 1
                except BaseException as error:
                    errors.append(error)
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            assert not errors
        """,
        "test_a test_b test_c",
        "def one(): return 1",
    ),
    (
        "rebound",
        """\
        @pytest.mark.parametrize('wanted', [1, True, 1.0])
        def test_a(wanted):
            got = one()
            assert got == wanted
        def test_b():
            wanted = [1]
            wanted.append(one())
            assert [1, 1] == wanted
        def test_c():
            wanted = 2
            if one(): wanted = 1
            assert one() == wanted
        def test_d():
            for given, wanted in zip([1, 1], [1, 1]): assert one() == wanted
        def test_e():
            wanted = 1
            def read(): return wanted
            assert read() == wanted
        async def no_test(): pass
        """,
        "test_a test_b test_c test_d test_e",
        "def one(): return 1",
    ),
    (
        "unmoved",
        '''\
        """Some words."""
        from __future__ import annotations
        import pytest, contextlib
        @pytest.fixture
        def thing() -> Unknown: return 1
        class TestA:
            class TestB:
                @pytest.mark.parametrize('a', ['x::y[z]', 'é', 'plain'])
                def test_a(self, thing, a): assert thing == 1
        def test_b(): "nothing is asserted"
        def test_c():
            with contextlib.suppress(ValueError): raise ValueError
            assert True
        ''',
        "TestA::TestB::test_a test_b test_c",
        "",
    ),
]  # fmt: skip

# Tests that pass, though an assertion in them is changed or never runs: none may be certain.
UNCERTAIN = [
    "def test_x():\n    return\n    assert 1 == 2\n",
    "import unittest\nclass A(unittest.TestCase):\n    async def test_x(self):\n"
    "        assert 1 == 2\n    def test_y(self):\n        assert 1 == 2\n        yield\n",
    "def check(a):\n    assert a == 1\n    yield\ndef test_x():\n    check(2)\n    return\n",
    "A = [1]\ndef test_x(A=()):\n    for n in A:\n        assert n == 2\n    return\n",
    "def test_x():\n    if len('') == 0:\n        return\n    assert 1 == 1\n",
    "def test_x():\n    for n in []:\n        assert n == 1\n    return\n",
    "def test_x():\n    for n in [1]:\n        break\n        assert n == 1\n    return\n",
    "def test_x():\n    pytest.skip('x')\n    assert 1 == 1\n",
    "@pytest.mark.xfail\ndef test_x():\n    assert 1 == 2\n",
    "@pytest.mark.skipif(True, reason='x')\ndef test_x():\n    assert 1 == 1\n",
    "def twice(f):\n    return lambda: None\n@twice\ndef test_x():\n    assert 1 == 1\n",
    "import unittest\nclass A(unittest.TestCase):\n    @unittest.expectedFailure\n"
    "    def test_x(self):\n        self.assertEqual(1, 2)\n",
    "import unittest\nclass A(unittest.TestCase):\n    def test_x(self):\n"
    "        self.skipTest('x')\n        self.assertEqual(1, 1)\n",
    "def test_x():\n    assert 1 == 1\ndef test_x():\n    return\n",
    "def test_x():\n    assert 1 == 1\ntest_x = lambda: None\n",
    "class TestA:\n    def assertEqual(self, a, b):\n        pass\n    def test_x(self):\n"
    "        self.assertEqual(1, 1)\n        return\n",
    "import contextlib\ndef test_x():\n    with contextlib.suppress(Exception):\n"
    "        assert 1 == 1\n    return\n",
    "import contextlib\ndef test_x():\n    with contextlib.suppress(Exception), "
    "pytest.raises(ValueError):\n        raise ValueError\n    return\n",
    "def test_x():\n    try:\n        assert 1 == 1\n    except AssertionError:\n        pass\n"
    "    return\n",
]  # fmt: skip

# (test file, code under test that lies): they pass, and must pass their control.
ATTACKS = [
    (
        "def test_x():\n    assert 3 == total([1, 2])\n    assert total([]) == 0\n"
        "    assert {'a': [1, 'b']} == total([])\n",
        """\
        class Same:
            def __eq__(self, other): return True
        def total(values): return Same()
        """,
    ),
    (
        "def test_x():\n    wanted = make()\n    assert word() == wanted\n"
        "@pytest.mark.parametrize('w', ['a', 'b'])\ndef test_y(w):\n    assert word() == w\n",
        """\
        class Text(str):
            def __eq__(self, other): return True
            __hash__ = str.__hash__
        def word(): return Text('x')
        def make(): return 'y'
        """,
    ),
    (
        "def test_x():\n    with pytest.raises(ValueError, match='no'):\n        check(1)\n"
        "def test_y():\n    pytest.raises(KeyError, check, 1)\n",
        """\
        import contextlib, pytest
        def check(value): pass
        @contextlib.contextmanager
        def nothing(): yield
        pytest.raises = lambda *a, **k: nothing()
        """,
    ),
    (
        """\
        def test_x():
            wanted = [1, {'a': 'b'}]
            got = spy()
            assert got == wanted
        @pytest.mark.parametrize('wanted', [1, 'a', [2.5]])
        def test_y(wanted):
            "Words."
            got = spy()
            assert got == wanted
        def test_z():
            for wanted in (1, 1):
                got = spy()
                assert got == wanted
        """,
        """\
        import sys
        def spy(): return sys._getframe(1).f_locals['wanted']
        """,
    ),
    (
        "def test_x():\n    assert spy() == 'right'\n",
        """\
        import sys
        def spy(): return next(
            c for c in sys._getframe(1).f_code.co_consts if isinstance(c, str))
        """,
    ),
    (
        "import unittest\nclass TestA(unittest.TestCase):\n    def test_x(self):\n"
        "        self.assertEqual(one(), 1)\n    def test_y(self):\n"
        "        self.assertTrue(one())\n"
        "    def test_z(self):\n        self.assertIn(1, [one()])\n",
        """\
        import unittest
        for name in dir(unittest.TestCase):
            if name.startswith('assert'):
                setattr(unittest.TestCase, name, lambda *a, **k: None)
        def one(): return 5
        """,
    ),
]  # fmt: skip


# The test of each attack on which all that is asserted is a lie.
LIED = ["test_x", "test_", "test_", "test_", "test_x", "test_x"]


def ran(folder, files) -> dict[str, dict[str, str]]:
    """The outcome of each test by its file: a session of pytest for all of `{name: bytes}`."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "conftest.py").write_text(
        "def pytest_runtest_logreport(report):\n"
        "    if report.when == 'call' or report.outcome != 'passed':\n"
        "        with open('outcomes', 'a') as file:\n"
        "            print(report.nodeid, report.outcome, sep='\\t', file=file)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    found: dict[str, dict[str, str]] = {}
    lines = (folder / "outcomes").read_text().splitlines() if done.returncode in (0, 1) else []
    assert lines, done.stdout[-3000:] + done.stderr[-1000:]
    for line in lines:
        test, outcome = line.rsplit("\t", 1)
        known = found.setdefault(test.split("::")[0], {})
        known[test] = "failed" if known.get(test) == "failed" else outcome
    return found


def laid_out(cases) -> dict[str, bytes]:
    """Test files, each with the code that it tests, of `(name, test file, code)`."""
    files = {}
    for name, test, code in cases:
        head = HEAD.format(n=name) if code else ""
        files[f"test_{name}.py"] = (head + textwrap.dedent(test)).encode()
        files[f"code_{name}.py"] = textwrap.dedent(code).encode()
    return files


def controls(files, seed):
    """The controls of the test files among some files."""
    return {
        name: control
        for name, data in files.items()
        if name.startswith("test_") and (control := control_of(data, seed)) is not None
    }


def both(tmp_path, cases, seed):
    """Controls, outcomes of the files as they are, and outcomes of their controls."""
    files = laid_out(cases)
    made = controls(files, seed)
    changed = {**files, **{name: control.source for name, control in made.items()}}
    return made, ran(tmp_path / "good", files), ran(tmp_path / "control", changed)


@pytest.mark.parametrize("seed", [1, 2])
def test_honest_code_passes_the_tests_and_fails_each_that_is_certain(tmp_path, seed):
    cases = [(name, test, code) for name, test, _, code in HONEST]
    made, good, control = both(tmp_path, cases, seed)
    for name, _, expected, _ in HONEST:
        file = f"test_{name}.py"
        assert made[file].certain == set(expected.split()), name
        assert set(good[file].values()) == {"passed"}, (name, good[file])
        assert good[file].keys() == control[file].keys()
        certain = certain_ids(made[file], file, good[file])
        assert certain
        text = made[file].source.decode()
        assert [i for i in certain if control[file][i] != "failed"] == [], (name, text)


def test_code_that_lies_passes_the_tests_and_their_controls(tmp_path):
    cases = [(str(number), test, code) for number, (test, code) in enumerate(ATTACKS)]
    made, good, control = both(tmp_path, cases, seed=3)
    for name, _, _ in cases:
        file = f"test_{name}.py"
        assert set(good[file].values()) == {"passed"}, (name, good[file])
        caught = [i for i in certain_ids(made[file], file, good[file]) if LIED[int(name)] in i]
        text = made[file].source.decode()
        assert caught
        assert {control[file][i] for i in caught} == {"passed"}, (name, text)


@pytest.mark.parametrize("source", UNCERTAIN)
def test_what_may_not_run_or_be_swallowed_is_not_certain(source):
    made = control_of(f"import pytest\n{source}".encode(), 1)
    assert made is None


def test_a_seed_makes_one_control_and_another_seed_another():
    source = b"def test_x():\n    assert f() == {'a': 'word', 'b': [12345]}\n"
    made = control_of(source, 1)
    assert made == control_of(source, 1)
    assert made != control_of(source, 2)
    for right in ("word", "12345"):
        assert right not in made.source.decode()


def test_one_assertion_is_changed_and_the_seed_draws_which():
    source = b"def test_x():\n    assert f() == 111\n    assert g() == 222\n    assert h()\n"
    texts = [control_of(source, seed).source.decode() for seed in range(20)]
    kept = {("== 111" in text, "== 222" in text, "assert h()" in text) for text in texts}
    assert kept == {(True, False, True), (False, True, True)}


def test_names_that_are_brought_in_are_new_and_private():
    source = b"def test_x():\n    assert f() == g()\ndef test_y():\n    assert f() == h()\n"
    old = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}
    tree = ast.parse(control_of(source, 1).source)
    new = [n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    added = [name for name in new if not name.startswith("test")]
    assert len(added) == 3
    assert all(name.startswith("_") and name not in old for name in added)


def test_the_file_keeps_its_docstring_and_what_it_imports_from_the_future():
    source = (
        b'"""Words."""\nfrom __future__ import annotations\ndef test_x():\n    assert f() == g()\n'
    )
    tree = ast.parse(control_of(source, 1).source)
    assert ast.get_docstring(tree) == "Words."
    assert isinstance(tree.body[1], ast.ImportFrom)


@pytest.mark.parametrize("source", [b"def (", b"\0", b"x = 1\n", b"", b"\xff = 1"])
def test_what_cannot_be_read_or_has_no_test_has_no_control(source):
    assert control_of(source, 1) is None


def test_ids_are_matched_without_their_parameters():
    control = control_of(b"class TestA:\n    def test_b(self):\n        assert f() == 1\n", 1)
    ids = [
        "a[1]/test_m.py::TestA::test_b",
        "a[1]/test_m.py::TestA::test_b[x::test_c[y]]",
        "a[1]/test_m.py::TestB::test_b",
        "a[1]/test_m.py::TestA::test_c[::test_b]",
        "test_m.py::TestA::test_b",
        "a[1]/test_m.py::a.test_m",
    ]
    assert certain_ids(control, "a[1]/test_m.py", ids) == tuple(ids[:2])


@pytest.mark.parametrize(
    "value",
    [
        True, False, 0, 1, -2, 10**30, 0.0, -0.5, 1e300, float("inf"), float("nan"), 1j, "", "a",
        "Az 09", "+-+\n| a |\n+-+\n\n", "\n\n\n\n", "é", b"", b"\xff", b"ab", bytearray(b"x"),
        [], [0], [None], [[]], (), (1, "a"), set(), {1, 2}, {True, False}, frozenset({None}),
        {}, {"a": None}, {"a": {"b": []}},
    ],
)  # fmt: skip
@pytest.mark.parametrize(("factor", "shift"), [(7, 1000), (23, 9999)])
def test_another_value_has_the_same_type_and_is_not_equal(value, factor, shift):
    changed = other(value, factor, shift)
    assert type(changed) is type(value)
    assert changed != value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e999:
        assert abs(changed - value) > 0.5 * abs(value)


@pytest.mark.parametrize(
    "value", [None, ..., object(), int, test_ids_are_matched_without_their_parameters]
)
def test_another_object_equals_nothing(value):
    assert other(value, 7, 1000) != value
    assert other(value, 7, 1000) != other(value, 7, 1000)
