"""Python environments for tasks: made of wheels alone, kept by what is in them.

Nothing of an environment runs on the host: wheels are unpacked by our own pip, and no source
archive is built.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from agent.config import Settings
from agent.status import EnvironmentFailure
from agent.tasks.instance import EnvironmentSetup
from policies.hub.files import locked
from policies.paths import data_root
from tools.sandbox.base import File

INSTALL_SECONDS = 900
RUNNER = "pytest"


def python_version() -> str:
    """The minor version that environments are made of: the one that runs us."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def with_environment(
    settings: Settings, setup: EnvironmentSetup, on_line: Callable[[str], None] = lambda _: None
) -> Settings:
    """Settings whose sandbox has what `setup` names: a folder for bubblewrap, a docker image.

    Raises EnvironmentFailure when it cannot be made.
    """
    update: dict[str, object] = {}
    if settings.sandbox == "docker":
        from agent.workspace import BASE_IMAGE
        from tools.sandbox.prepare import prepare_image

        needs = File("requirements.txt", "\n".join(_packages(setup)).encode())
        update["image"] = prepare_image([needs], BASE_IMAGE, on_line)
    else:
        update |= {"environment": str(environment_folder(setup)), "sandbox": _kind(settings)}
    if setup.test_command:
        update["test_command"] = setup.test_command
    return settings.model_copy(update=update)


def _kind(settings: Settings) -> str:
    """`auto` is bubblewrap here: the environment is a folder of this machine."""
    return "bubblewrap" if settings.sandbox == "auto" else settings.sandbox


def environment_folder(setup: EnvironmentSetup) -> Path:
    """A virtual environment with the packages of `setup` and pytest; made once.

    Raises EnvironmentFailure.
    """
    if setup.python not in (None, python_version()):
        raise EnvironmentFailure(
            f"the tests need Python {setup.python}, and this is Python {python_version()}",
            f"Install Apprentice for Python {setup.python}.",
        )
    packages = _packages(setup)
    name = hashlib.sha256("\n".join([python_version(), *packages]).encode()).hexdigest()[:16]
    folder = data_root() / "environments" / name
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, packages)
            (folder / "complete").write_text("\n".join(packages) + "\n", encoding="utf-8")
    return folder


def _packages(setup: EnvironmentSetup) -> list[str]:
    """What pip is asked for. Raises EnvironmentFailure on what is no name with versions.

    A URL or a path in a requirement would have pip build it, wheels only or not.
    """
    named = set()
    for word in setup.packages:
        try:
            need = Requirement(word)
        except InvalidRequirement as error:
            raise EnvironmentFailure(f"{word!r} is no package: {error}") from error
        if need.url is not None:
            raise EnvironmentFailure(
                f"{word!r} leads to a URL or a path, of which code would run",
                "Name a version that the package index has as a wheel.",
            )
        named.add(need.name.lower())
    return sorted({*setup.packages, *(() if RUNNER in named else (RUNNER,))})


def _install(folder: Path, packages: Sequence[str]) -> None:
    import venv

    venv.create(folder, symlinks=True, with_pip=False)
    pip = [
        sys.executable, "-P", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-input", "--ignore-installed", "--only-binary=:all:", "--no-warn-script-location",
        "--no-warn-conflicts", f"--prefix={folder}", "--", *packages,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            pip, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired as late:
        raise EnvironmentFailure(f"installing {', '.join(packages)} took too long") from late
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = " ".join(lines[-2:] or done.stderr.splitlines()[-2:])[:400]
        raise EnvironmentFailure(
            f"the packages of the tests cannot be installed as wheels: {said}",
            "Check the names and the network; PIP_INDEX_URL names another index.",
        )


def installed(folder: Path) -> tuple[str, ...]:
    """What an environment holds, pinned: NAME==VERSION, sorted. Nothing of it is imported."""
    places = [str(path) for path in sorted(folder.glob("lib*/python3*/site-packages"))]
    found = {
        f"{str(package.metadata['Name']).lower().replace('_', '-')}=={package.version}"
        for package in importlib.metadata.distributions(path=places)
        if not _is_editable(package)
    }
    return tuple(sorted(found))


def _is_editable(package: importlib.metadata.Distribution) -> bool:
    """Whether it is a link to somebody's working tree, which no other machine has."""
    origin = package.read_text("direct_url.json")
    return bool(origin) and "dir_info" in json.loads(origin or "{}")


def pinned(setup: EnvironmentSetup) -> EnvironmentSetup:
    """The same environment with the exact versions that were installed."""
    found = installed(environment_folder(setup))
    return setup.model_copy(update={"python": python_version(), "packages": found})


def declared(files: Iterable[File]) -> tuple[str, ...]:
    """The packages that a repository says it needs, its test and development extras included.

    Raises SandboxError when its pyproject.toml cannot be read.
    """
    from tools.sandbox.prepare import dependency_files, requirements

    found = dependency_files(files)
    words = list(requirements(found))
    specs: list[str] = []
    while words:
        word = words.pop(0)
        if word == "-r":
            text = found[words.pop(0).rpartition("/")[2]].decode("utf-8", "replace")
            lines = (line.split(" #")[0].strip() for line in text.splitlines())
            specs += [line for line in lines if line and not line.startswith(("#", "-"))]
        else:
            specs.append(word)
    return tuple(dict.fromkeys(specs))
