"""What counts as green, broken and new between two test runs."""

from agent.verify.outcomes import (
    broken,
    doctest_files,
    is_green,
    lacks_module,
    missing,
    newly_failing,
)
from agent.verify.outcomes import (
    test_files as files_of_tests,
)
from tools.testing.results import Failure, TestRun


def of(outcomes, complete=True, **fields):
    return TestRun(outcomes, {}, 0, complete, 0.0, **fields)


def test_expected_failures_are_not_green():
    assert is_green(of({"a::b": "passed"}), "a::b")
    for outcome in ("failed", "error", "hung", "skipped", "xfailed", "xpassed"):
        assert not is_green(of({"a::b": outcome}), "a::b")
    assert not is_green(of({}), "a::b")


def test_collection_and_session_errors_turn_green_with_their_tests():
    error = "a.py (collection)"
    assert is_green(of({"a.py::t": "passed"}), error)
    assert not is_green(of({"a.py::t": "failed"}), error)
    assert not is_green(of({error: "error"}), error)
    assert not is_green(of({"b.py::t": "passed"}), error)
    assert is_green(of({"a.py::t": "passed", "a.py::u": "skipped"}), error)
    assert not is_green(of({"a.py::t": "skipped", "a.py::u": "xfailed"}), error)
    assert is_green(of({"a.py::t": "passed"}), "<session>")
    assert not is_green(of({"a.py::t": "passed"}, complete=False), "<session>")


def test_broken_is_what_was_better_before():
    before = of({"p": "passed", "x": "xfailed", "s": "skipped", "f": "failed", "gone": "passed"})
    after = of({"p": "xfailed", "x": "failed", "s": "skipped", "f": "failed"})
    assert broken(before, after) == ("p", "x", "gone")
    assert newly_failing(before, of({"f": "failed", "n": "failed"})) == ("n",)


def test_renamed_cases_of_a_test_are_not_missing():
    before = of({"t[a]": "passed", "t[b]": "failed", "u[a]": "passed", "v": "passed"})
    after = of({"t[0]": "passed", "t[1]": "passed", "w[a]": "passed"})
    assert missing(before, after) == ["u[a]", "v"]
    assert broken(before, after) == ("u[a]", "v")
    worse = of({"t[0]": "passed", "t[1]": "failed"})
    assert missing(before, worse) == ["t[a]", "t[b]", "u[a]", "v"]


def test_files_of_tests_and_of_doctests():
    seen = ("app/tests.py::T::test_a[1.5]", "m.py::m.f", "b.py (collection)")
    assert files_of_tests(seen) == ("app/tests.py",)
    assert doctest_files(seen) == frozenset({"m.py"})


def test_a_source_that_a_linter_looks_at_holds_no_tests():
    seen = ("shop/a.py::ruff", "shop/a.py::ruff::format", "shop/b.py::FLAKE8", "shop/c.py::mypy")
    assert files_of_tests(seen) == ()
    assert files_of_tests((*seen, "shop/a.py::test_ruff")) == ("shop/a.py",)


def test_a_missing_package_is_not_the_fault_of_the_source():
    name = "a.py (collection)"
    failures = {name: Failure("ModuleNotFoundError: No module named 'numpy'")}
    seen = TestRun({name: "error"}, failures, 2, True, 0.0, missing_modules=("numpy",))
    assert lacks_module(seen, name)
    assert not lacks_module(of({name: "error"}), name)
