"""Copies of the repository in sandboxes: one warm for the attempts, a fresh one per verdict."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.config import Settings
from agent.paths import below_import_root, module_of
from agent.repository import Capture
from agent.status import EnvironmentFailure, UsageError
from tools.sandbox.base import File, Limits, Sandbox, Spec
from tools.sandbox.choose import Kind
from tools.testing.detect import NoTestsError, TestCommand, detect
from tools.testing.results import COLLECTION, SESSION, TestEnvironmentError, TestRun
from tools.testing.runners import run_tests

PER_TEST_SECONDS = 20.0
MIN_TEST_SECONDS = 5.0
BASE_IMAGE = "apprentice-sandbox"


@dataclass(frozen=True)
class Workspace:
    """How to open a copy of the repository, and how its tests are run."""

    files: tuple[File, ...]
    sandbox_kind: Kind
    spec: Spec
    command: TestCommand
    test_timeout: float

    @property
    def contents(self) -> dict[str, bytes]:
        """The bytes of each regular file."""
        return _contents(self.files)

    @property
    def shown_command(self) -> tuple[str, ...]:
        """The test command as a person would write it."""
        runner = ("pytest",) if self.command.framework == "pytest" else ()
        return (*runner, *self.command.argv)

    def fresh(self) -> Sandbox:
        """A new sandbox with a pristine copy. A context manager."""
        from tools.sandbox.choose import open_sandbox

        return open_sandbox(self.sandbox_kind, self.files, self.spec)

    def with_file(self, file: File) -> Workspace:
        """The same workspace with one more (or another) file."""
        kept = tuple(f for f in self.files if f.path != file.path)
        return dataclasses.replace(self, files=(*kept, file))

    def patched(self, files: Mapping[str, bytes | None], modes: Mapping[str, str]) -> Workspace:
        """The same workspace with other bytes (None removes) and git modes in these files."""
        held = {file.path: file for file in self.files}
        for path, data in files.items():
            old = held.pop(path, None)
            mode = modes.get(path, old.mode if old else "100644")
            if data is not None:
                held[path] = File(path, data, "100755" if mode == "100755" else "100644")
        return dataclasses.replace(self, files=tuple(held.values()))

    def test(
        self,
        sandbox: Sandbox,
        only: tuple[str, ...] = (),
        *,
        trace: bool = False,
        seconds: float | None = None,
    ) -> TestRun:
        """Run the tests (all, or those of the given ids) in an open sandbox.

        `seconds` is what is left of the run's time; the tests get no more, but at least some.
        """
        ids = tuple(dict.fromkeys(test.removesuffix(COLLECTION) for test in only))
        if SESSION in ids:
            ids = ()
        limit = self.test_timeout
        if seconds is not None:
            limit = min(limit, max(seconds, MIN_TEST_SECONDS))
        run = run_tests(
            sandbox,
            self.command,
            only=ids,
            timeout=limit,
            per_test=min(PER_TEST_SECONDS, limit / 4),
            trace=trace,
        )
        lost = tuple(m for m in run.missing_modules if not self._is_own(m))
        return dataclasses.replace(run, missing_modules=lost)

    def test_and_undo(
        self,
        sandbox: Sandbox,
        only: tuple[str, ...] = (),
        *,
        trace: bool = False,
        seconds: float | None = None,
    ) -> TestRun:
        """Run the tests as `test` does, and leave the sandbox as it was."""
        with unchanged(sandbox):
            return self.test(sandbox, only, trace=trace, seconds=seconds)

    def _is_own(self, module: str) -> bool:
        """Whether a module that could not be imported would be one of the repository."""
        top = module.partition(".")[0]
        return any(module_of(file.path).partition(".")[0] == top for file in self.files)


@contextmanager
def unchanged(sandbox: Sandbox) -> Iterator[None]:
    """Undo what tests write meanwhile, also those that could not be run."""
    before = sandbox.snapshot()
    try:
        yield
    except TestEnvironmentError:
        sandbox.restore(before)
        raise
    if sandbox.snapshot() != before:
        sandbox.restore(before)


def make_workspace(
    capture: Capture, settings: Settings, on_line: Callable[[str], None] = lambda _: None
) -> Workspace:
    """Choose environment, image and test command for a repository.

    Raises UsageError without a test command, EnvironmentFailure on a bad environment.
    """
    contents = _contents(capture.files)
    try:
        command = detect(contents.keys(), contents.__getitem__, settings.test_command)
    except NoTestsError as error:
        hint = "Name the command with --test-cmd, for example --test-cmd 'pytest -q'."
        if settings.test_command:
            raise UsageError(str(error), hint) from error
        raise UsageError("no tests were found", hint) from error
    if any(path.startswith("src/") and path.endswith(".py") for path in contents):
        command = dataclasses.replace(command, env=(("PYTHONPATH", "src"), *command.env))
    image = settings.image
    if image is None and settings.sandbox in ("docker", "auto"):
        from tools.sandbox.prepare import prepare_image, prepared_image

        if settings.sandbox == "docker":
            image = prepare_image(capture.files, BASE_IMAGE, on_line)
        else:
            image = prepared_image(capture.files, BASE_IMAGE)
    spec = Spec(
        root=str(capture.root),
        environment=environment_of(capture, settings.environment),
        modules=modules_of(capture),
        image=image,
        hide=(*Spec.hide, *_own_modules(contents)),
        limits=Limits(
            wall_seconds=settings.test_timeout,
            cpu_seconds=max(
                Limits.cpu_seconds, math.ceil(settings.test_timeout * (os.cpu_count() or 1))
            ),
        ),
    )
    return Workspace(capture.files, settings.sandbox, spec, command, settings.test_timeout)


def _contents(files: Iterable[File]) -> dict[str, bytes]:
    return {file.path: file.data for file in files if file.mode != "120000"}


def _own_modules(contents: Mapping[str, bytes]) -> tuple[str, ...]:
    """The top-level modules of the repository: an installed copy of one may hold the fix.

    Namespace packages are shared with others, and stay.
    """
    found = set()
    for path, data in contents.items():
        parts = below_import_root(path).split("/")
        shared = b"extend_path" in data or b"declare_namespace" in data
        if len(parts) == 2 and parts[1] == "__init__.py" and not shared:
            found.add(parts[0])
        elif len(parts) == 1 and path.endswith(".py"):
            found.add(parts[0].removesuffix(".py"))
    return tuple(sorted(found - {"__init__", "setup", "conftest"}))


def environment_of(capture: Capture, configured: str | None) -> str | None:
    """The Python environment of the repository's tests on this machine, or None.

    `configured` is what the user names; else it is the active one, or `.venv` or `venv`. One that
    comes with the repository's own files is not trusted: it could name any host path. Raises
    EnvironmentFailure when `configured` is none.
    """
    if configured:
        path = Path(configured).expanduser().resolve()
        if not _is_environment(path):
            raise EnvironmentFailure(
                f"{path} is no Python environment (bin/python is missing)",
                "Create it with `python3 -m venv` and install the repository's packages.",
            )
        return str(path)
    active = Path(os.environ.get("VIRTUAL_ENV", ""))
    if active.parts and _is_environment(active):
        return str(active.resolve())
    tracked = {file.path.split("/", 1)[0] for file in capture.files}
    for name in (".venv", "venv"):
        path = capture.root / name
        if name not in tracked and not path.is_symlink() and _is_environment(path):
            return str(path)
    return None


def modules_of(capture: Capture) -> str | None:
    """The packages that npm installed for the repository, unless they are among its own files."""
    path = capture.root / "node_modules"
    tracked = any(file.path.partition("/")[0] == path.name for file in capture.files)
    return str(path) if path.is_dir() and not path.is_symlink() and not tracked else None


def check_sandbox(settings: Settings) -> None:
    """Fail early, before anything is downloaded, when no sandbox can be opened.

    Raises EnvironmentFailure.
    """
    from tools.sandbox.choose import available

    reasons = available()
    wanted = [settings.sandbox] if settings.sandbox != "auto" else ["docker", "bubblewrap"]
    problems = {name: reasons[name] for name in wanted if name in reasons}
    if problems and all(problems.values()):
        text = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
        raise EnvironmentFailure(f"no sandbox can be used ({text})", "Run `agent doctor`.")


def _is_environment(path: Path) -> bool:
    return (path / "bin" / "python").is_file()


def timed() -> Callable[[], float]:
    """A stopwatch: call it for the seconds since it was made."""
    start = time.monotonic()
    return lambda: time.monotonic() - start
