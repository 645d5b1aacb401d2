"""The checks of a commit: which there are, and what they say of a state of the repository."""

from __future__ import annotations

import configparser
import dataclasses
import re
import shlex
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.config import Settings
from agent.fix.touched import touched_tests
from agent.status import EnvironmentFailure, UsageError
from agent.workspace import Workspace
from tools.sandbox.base import File, Sandbox
from tools.testing.detect import NoTestsError, TestCommand, detect, from_text
from tools.testing.results import COMMAND, TestEnvironmentError, TestRun

RUFF = "ruff check --no-fix --force-exclude --output-format=concise {python}"
NO_TESTS_COLLECTED = 5
_PLACEHOLDER = re.compile(r"\{(files|python|tests)\}")
_SUFFIXES = {"npm": (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx"), "node": (".js", ".mjs", ".cjs"),
             "cargo": (".rs",), "go": (".go",)}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """A command that must succeed. `shown` is how a person would write it."""

    shown: str
    command: TestCommand


@dataclass(frozen=True)
class Checked:
    """What a check said."""

    check: Check
    run: TestRun

    @property
    def passed(self) -> bool:
        """Whether the commit may go on: all went well, or there was no test to run."""
        if self.check.command.framework == "pytest" and self.run.exit_code == NO_TESTS_COLLECTED:
            return not self.run.failures
        return self.run.exit_code == 0 and self.run.complete and not self.run.failing


def choose_checks(
    settings: Settings,
    files: Mapping[str, bytes],
    passed: Collection[str],
    installed: Callable[[str], bool],
    note: Callable[[str], None],
) -> list[Check]:
    """The configured checks, else those that the repository's files suggest.

    In a command, `{files}` stands for the passed files, `{python}` for those that are Python and
    `{tests}` for the test files that they touch; where one stands for nothing, the check is left
    out. Raises UsageError when there is no check, EnvironmentFailure when none is installed.
    """
    if settings.checks:
        return _made(settings.checks, files, passed)
    suggested = _suggested(settings, files, passed)
    if not suggested:
        raise UsageError(
            "no checks are configured, and none were recognised",
            'Name them with --check, or as checks = ["pytest {tests}"] in [tool.apprentice] of '
            "pyproject.toml.",
        )
    kept = [t for t in suggested if t == settings.test_command or installed(t.split()[0])]
    missing = ", ".join(text.split()[0] for text in suggested if text not in kept)
    if not kept:
        raise EnvironmentFailure(
            f"none of the checks is installed: {missing}",
            "Install them in the project's virtual environment, or name them in the hook's "
            "additional_dependencies.",
        )
    if missing:
        note(f"left out, since it is not installed in the environment of the checks: {missing}")
    return _made(kept, files, passed)


def run_checks(
    workspace: Workspace, checks: Sequence[Check], caches: Sequence[File] = ()
) -> list[Checked]:
    """Run the checks in turn in a fresh sandbox, with the files of `workspace` and `caches`.

    As in a person's working tree, one sees what those before it have left; and tests are asked for
    their exit code first, for their results by id only when they fail. Raises EnvironmentFailure
    when one cannot be started.
    """
    full = dataclasses.replace(workspace, files=(*workspace.files, *caches))
    with full.fresh() as sandbox:
        return [
            Checked(check, _passed(full, check, sandbox) or _run(full, check, sandbox))
            for check in checks
        ]


def run_apart(workspace: Workspace, checks: Sequence[Check]) -> list[Checked]:
    """Run each check in a fresh sandbox of its own: what one runs cannot sway another.

    Raises EnvironmentFailure when one cannot be started.
    """
    checked = []
    for check in checks:
        with workspace.fresh() as sandbox:
            checked.append(Checked(check, _run(workspace, check, sandbox)))
    return checked


def with_check(workspace: Workspace, check: Check) -> Workspace:
    """The workspace with a check in the place of its tests."""
    variables = dict((*workspace.command.env, *check.command.env))
    command = dataclasses.replace(check.command, env=tuple(variables.items()))
    return dataclasses.replace(workspace, command=command)


def _passed(workspace: Workspace, check: Check, sandbox: Sandbox) -> TestRun | None:
    """A run of tests that pass, by the exit code alone; None for anything else."""
    command = with_check(workspace, check).command
    if command.framework != "pytest":
        return None
    argv = [sandbox.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *command.argv]
    result = sandbox.run(argv, timeout=workspace.test_timeout, env=dict(command.env))
    if result.exit_code != 0 or result.killed_by:
        return None
    output = result.stdout.decode("utf-8", "replace")
    return TestRun({COMMAND: "passed"}, {}, 0, True, result.seconds, output=output)


def _run(workspace: Workspace, check: Check, sandbox: Sandbox) -> TestRun:
    try:
        return with_check(workspace, check).test(sandbox)
    except TestEnvironmentError as error:
        raise EnvironmentFailure(
            f"{check.shown}: {error}",
            "Checks run in the project's virtual environment, or in the hook's own with what "
            "additional_dependencies names.",
        ) from error


def _made(texts: Sequence[str], files: Mapping[str, bytes], passed: Collection[str]) -> list[Check]:
    values = {
        "files": list(passed),
        "python": [path for path in passed if path.endswith((".py", ".pyi"))],
    }
    if any("{tests}" in text for text in texts):
        values["tests"] = list(touched_tests(files, passed))
    checks = []
    for text in texts:
        if not all(values[match[1]] for match in _PLACEHOLDER.finditer(text)):
            continue
        shown = _PLACEHOLDER.sub(
            lambda match: shlex.join(map(_not_an_option, values[match[1]])), text
        )
        try:
            checks.append(Check(shown, from_text(shown)))
        except NoTestsError as error:
            raise UsageError(str(error), "Mend it under checks, or in --check.") from error
    return checks


def _not_an_option(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path


def _suggested(
    settings: Settings, files: Mapping[str, bytes], passed: Collection[str]
) -> list[str]:
    project = _toml(files.get("pyproject.toml", b"")).get("tool", {})
    found = []
    if "ruff" in project or files.keys() & {"ruff.toml", ".ruff.toml"}:
        found.append(RUFF)
    if (mypy := _mypy(project, files)) and any(path.endswith((".py", ".pyi")) for path in passed):
        found.append(mypy)
    if settings.test_command:
        return [*found, settings.test_command]
    try:
        tests = detect(files.keys(), files.__getitem__)
    except NoTestsError:
        return found
    if tests.framework == "pytest":
        found.append("pytest {tests}")
    else:
        suffixes = _SUFFIXES.get(tests.argv[0], ("",))
        if any(path.endswith(suffixes) for path in passed):
            found.append(shlex.join(tests.argv))
    return found


def _mypy(project: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """How mypy is run, '' when nothing tells that it is used."""
    table = project.get("mypy")
    for name in ("mypy.ini", ".mypy.ini", "setup.cfg"):
        if name in files and table is None:
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            try:
                parser.read_string(files[name].decode("utf-8", "replace"))
            except configparser.Error:
                continue
            table = dict(parser["mypy"]) if "mypy" in parser else None
    if not isinstance(table, Mapping):
        return ""
    return "mypy" if table.keys() & {"files", "packages", "modules"} else "mypy {python}"


def _toml(data: bytes) -> Mapping[str, Any]:
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return table if isinstance(table.get("tool", {}), dict) else {}
