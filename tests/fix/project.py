"""A small project with checks, and what a policy may say about it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.agent import shop

GOOD = '''\
"""Prices."""


def total(prices):
    """The sum of the prices."""
    return sum(prices)


def mean(prices):
    """The mean price."""
    return total(prices) / len(prices)
'''
WRONG = GOOD.replace("/ len(prices)", "* len(prices)")
UNDEFINED = GOOD.replace("return sum(prices)", "return sum(price)")
FILES = {
    "shop/__init__.py": "",
    "shop/prices.py": GOOD,
    "shop/other.py": "def twice(x):\n    return x + x\n",
    "tests/test_prices.py": (
        "from shop.prices import mean, total\n\n\n"
        "def test_total():\n    assert total([1, 2]) == 3\n\n\n"
        "def test_mean():\n    assert mean([1, 3]) == 2\n"
    ),
    "tests/test_other.py": (
        "from shop.other import twice\n\n\ndef test_twice():\n    assert twice(2) == 4\n"
    ),
    "pyproject.toml": (
        '[tool.ruff.lint]\nselect = ["F", "E501"]\n[tool.pytest.ini_options]\npythonpath = ["."]\n'
    ),
}
MEAN, TOTAL = "shop/prices.py::mean", "shop/prices.py::total"


def plan(symbol: str) -> str:
    """An answer that suspects a symbol."""
    return f"plan\ncause: it is wrong\nsymbol: {symbol}"


def edit(symbol: str, body: str) -> str:
    """An answer that rewrites a function of prices."""
    name = symbol.rpartition("::")[2]
    text = {"total": "The sum of the prices.", "mean": "The mean price."}[name]
    code = f'def {name}(prices):\n    """{text}"""\n    {body}\n'
    return f"edit_symbol\nsymbol: {symbol}\n```python\n{code}```"


FIX_MEAN = [plan(MEAN), edit(MEAN, "return total(prices) / len(prices)")]
FIX_TOTAL = [plan(TOTAL), edit(TOTAL, "return sum(prices)")]


def git(repo: Path, *words: str) -> str:
    """What git answers."""
    done = subprocess.run(["git", "-C", repo, *words], check=True, capture_output=True, text=True)
    return done.stdout


def stage(repo: Path, content: str, name: str = "shop/prices.py") -> Path:
    """Write a file and stage it."""
    (repo / name).write_text(content)
    git(repo, "add", name)
    return repo / name


def state(repo: Path) -> tuple[dict[str, bytes], str]:
    """All files on disk, and the index."""
    names = [p for p in repo.rglob("*") if p.is_file() and ".git" not in p.parts]
    return {str(p): p.read_bytes() for p in names}, git(repo, "ls-files", "--stage")


def fix(model: str, *more: str | Path) -> dict[str, Any]:
    """Run `agent fix --json` in this folder; its report, the exit code checked against it."""
    fixed = ("--json", "--model", model, "--env", sys.prefix, "--timeout", "600")
    result = shop.agent("fix", *fixed, *more)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    report: dict[str, Any] = json.loads(result.stdout)
    assert report["exit_code"] == result.exit_code
    return report
