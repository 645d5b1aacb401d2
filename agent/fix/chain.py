"""Several checks as one command: what only gives an exit code, then the checks that pass."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from agent.fix.checks import NO_TESTS_COLLECTED, Check
from tools.testing.detect import TestCommand

_PYTHON = re.compile(r"python[0-9.]*")
_CHAIN = """\
import json, os, subprocess, sys
for argv, variables, accepted in json.loads(sys.argv[1]):
    argv[0] = argv[0] or sys.executable
    try:
        code = subprocess.run(argv, env={**os.environ, **variables}).returncode
    except OSError as error:
        print(error)
        sys.exit(127)
    if code not in accepted:
        sys.exit(code if code > 0 else 1)
"""


def together(failing: Check, kept: Sequence[Check]) -> Check:
    """The failing check as the tests of a task.

    What only gives an exit code is followed by the checks that pass: a linter alone would be
    content with code that does something else. Each runs as it does alone: with the sandbox's
    Python, its own variables, and no test to run accepted. Tests by id stay as they are, for what
    they tell.
    """
    if failing.command.framework == "pytest" or not kept:
        return failing
    links = json.dumps([_link(check.command) for check in (failing, *kept)])
    return Check(failing.shown, TestCommand(("python", "-I", "-c", _CHAIN, links), "command"))


def _link(command: TestCommand) -> tuple[list[str | None], dict[str, str], list[int]]:
    """Words (None for the sandbox's Python), variables, and the exit codes that are well."""
    words: list[str | None] = list(command.argv)
    accepted = [0]
    if command.framework == "pytest":
        words = [None, "-m", "pytest", *words]
        accepted.append(NO_TESTS_COLLECTED)
    elif _PYTHON.fullmatch(command.argv[0]):
        words[0] = None
    return words, dict(command.env), accepted
