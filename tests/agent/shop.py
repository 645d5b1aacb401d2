"""The example as a task with scripted answers: what a policy may say about it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from agent.cli import app
from tests.documents import conforms

EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"
ISSUE = "page(items, 1) returns the second page"
SYMBOL = "shop/catalogue.py::page"
PLAN = f"plan\ncause: the first page has number 1\nsymbol: {SYMBOL}"
CRITIQUE = f"critique\nmistake: it still skips a page\nsymbol: {SYMBOL}"


def files() -> dict[str, bytes]:
    """The files of the example."""
    return {
        path.relative_to(EXAMPLE).as_posix(): path.read_bytes()
        for path in EXAMPLE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "ISSUE.txt"
    }


def edit(start: str, extra: str = "") -> str:
    """An answer that rewrites `page` with this start expression."""
    code = (
        "def page(items, number, size=10):\n"
        '    """Return the items on a page; the first page has number 1."""\n'
        "    if number < 1 or size < 1:\n"
        '        raise ValueError("page and size start at 1")\n'
        f"{extra}"
        f"    start = {start}\n"
        "    return items[start:start + size]\n"
    )
    return f"edit_symbol\nsymbol: {SYMBOL}\n```python\n{code}```"


GOOD = edit("(number - 1) * size")
BAD = edit("(number - 1) + size")


def script(folder: Path, replies: list[Any], **fields: Any) -> str:
    """Write a script; returns the model string that names it."""
    path = folder / "script.json"
    path.write_text(json.dumps({"replies": replies, **fields}))
    return f"scripted:{path}"


def agent(*arguments: str | Path) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def solve_arguments(
    repo: Path, model: str, *more: str | Path, sandbox: str = "bubblewrap"
) -> list[Any]:
    """`agent solve` on a repository, in the environment that runs this test."""
    fixed = ["--repo", repo, "--model", model, "--sandbox", sandbox, "--env", sys.prefix, "--json"]
    return ["solve", ISSUE, *fixed, *more]


def solve(repo: Path, model: str, *more: str | Path, sandbox: str = "bubblewrap") -> dict[str, Any]:
    """Run `agent solve --json`; returns its report, with the process's exit code checked."""
    result = agent(*solve_arguments(repo, model, *more, sandbox=sandbox))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    report = conforms(json.loads(result.stdout))
    assert report["exit_code"] == result.exit_code
    return report
