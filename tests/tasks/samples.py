"""Small repositories whose tests can be broken, and the example as a task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agent.tasks.environment import installed
from agent.tasks.hide import hide_tests, unified_diff
from agent.tasks.instance import EnvironmentSetup, Instance
from tests.agent import shop

MODULE = '''\
def clamp(value, low, high):
    """The value, but not below or above the limits."""
    if value < low:
        return low
    if value > high:
        return high
    return value


def total(prices, discount=0):
    result = 0
    for price in prices:
        result += price
    return result - discount


def initials(name):
    words = name.split(" ")
    return "".join(word[0].upper() for word in words if word)
'''
TESTS = """\
from sums import clamp, initials, total


def test_clamp_low():
    assert clamp(-5, 0, 10) == 0


def test_clamp_high():
    assert clamp(50, 0, 10) == 10


def test_clamp_between():
    assert clamp(5, 0, 10) == 5


def test_total():
    assert total([1, 2, 3]) == 6


def test_discount():
    assert total([10, 20], 5) == 25


def test_initials():
    assert initials("ada king lovelace") == "AKL"


def test_no_initials():
    assert initials("") == ""
"""
SUMS = {"sums.py": MODULE, "test_sums.py": TESTS}
NEEDS = tuple(need for need in installed(Path(sys.prefix)) if need.startswith("pytest=="))
TARGET = "tests/test_shop.py::test_first_page"


def shop_task(root: Path) -> Instance:
    """The example, committed at `root`, as a task: two tests fail and are hidden in its base."""
    files = shop.files()
    test, source = files["tests/test_shop.py"], files["shop/catalogue.py"]
    without = hide_tests(test, {"test_first_page", "test_last_page"})
    fixed = source.replace(b"number * size", b"(number - 1) * size")
    head = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    names = ("page_starts_at_one", "page_count", "search_ignores_case", "basket")
    return Instance(
        instance_id="shop",
        repo=str(root),
        base_commit=head.stdout.strip(),
        problem_statement=shop.ISSUE,
        patch=unified_diff({"shop/catalogue.py": source}, {"shop/catalogue.py": fixed}),
        test_patch=unified_diff({"tests/test_shop.py": without}, {"tests/test_shop.py": test}),
        setup_patch=unified_diff({"tests/test_shop.py": test}, {"tests/test_shop.py": without}),
        FAIL_TO_PASS=[TARGET, "tests/test_shop.py::test_last_page"],
        PASS_TO_PASS=[f"tests/test_shop.py::test_{name}" for name in names],
        environment_setup=EnvironmentSetup(packages=NEEDS),
        family="operator",
    )


STEPS = b"""def steps(items):
    total = 0
    for item in items:
        if item is None:
            continue
        total += item
    return total
"""
