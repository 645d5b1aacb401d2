"""Images with a repository's dependencies."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tools.sandbox.base import File, SandboxError
from tools.sandbox.docker import IMAGE
from tools.sandbox.prepare import dependency_files, install, prepare_image, requirements

PYPROJECT = b"""
[project]
name = "My.Project"
dependencies = ["six>=1", "my-project[extra]"]
[project.optional-dependencies]
test = ["iniconfig"]
docs = ["sphinx"]
[dependency-groups]
dev = ["pluggy", {include-group = "lint"}]
lint = ["ruff", {include-group = "dev"}]
"""


def test_what_is_read_and_what_is_not() -> None:
    files = [
        File("pyproject.toml", PYPROJECT),
        File(
            "requirements.txt", b"-e .\n.\n./local\nidna\n  --editable=x\n-r requirements/b.txt\n"
        ),
        File("requirements-dev.txt", b"toolz\n"),
        File("requirements/b.txt", b"attrs\n"),
        File("setup.py", b"raise SystemExit\n"),
        File("src/requirements.txt", b"never\n"),
    ]
    found = dependency_files(files)
    assert list(found) == [
        "pyproject.toml",
        "requirements-dev.txt",
        "requirements.txt",
        "requirements/b.txt",
    ]
    assert found["requirements.txt"].split() == [b"idna", b"-r", b"requirements/b.txt"]
    words = requirements(found)
    assert words[0] == "pytest"
    assert [w for w in words if w.startswith("/")] == [
        "/tmp/needs/requirements-dev.txt",
        "/tmp/needs/requirements.txt",
    ]
    assert words[5:] == ["six>=1", "iniconfig", "pluggy", "ruff"]


def test_a_broken_project_file_is_named() -> None:
    with pytest.raises(SandboxError, match="pyproject"):
        requirements({"pyproject.toml": b"["})


@pytest.mark.docker
def test_a_missing_base_is_named() -> None:
    with pytest.raises(SandboxError, match="docker build"):
        prepare_image([], "apprentice-no-such-image", print)


@pytest.mark.docker
def test_a_failing_installation_is_reported_and_leaves_no_image() -> None:
    lines: list[str] = []
    files = [File("requirements.txt", b"this is no requirement !\n")]
    with pytest.raises(SandboxError, match="cannot be installed"):
        prepare_image(files, IMAGE, lines.append)
    assert any("requirement" in line.lower() for line in lines)


class Container:
    """What `install` needs of a container of docker."""

    short_id = "c"

    def __init__(self, code: int) -> None:
        self.code = code
        self.removed = False

    def put_archive(self, path: str, data: bytes) -> None: ...

    def start(self) -> None: ...

    def logs(self, **how: bool) -> list[bytes]:
        return [b"a line\nrest"]

    def wait(self) -> dict[str, int]:
        return {"StatusCode": self.code}

    def commit(self, *what: object, **how: object) -> None: ...

    def remove(self, **how: bool) -> None:
        self.removed = True
        raise requests.exceptions.ConnectionError("gone")


class Engine:
    """A client of docker that makes one container."""

    def __init__(self, code: int = 0) -> None:
        self.containers = self
        self.made = Container(code)
        self.settings: dict[str, Any] = {}

    def create(self, image: str, **settings: Any) -> Container:
        self.settings = settings
        return self.made


def test_the_installation_is_bound_by_limits() -> None:
    lines: list[str] = []
    client = Engine()
    install(client, IMAGE, "tag", {}, ["pytest"], lines.append)
    assert client.settings["pids_limit"] == 512
    assert client.settings["mem_limit"] == "8g"
    assert client.settings["entrypoint"][:4] == ["timeout", "-k", "10", "1800"]
    assert client.made.removed
    assert lines == ["a line", "the container c could not be removed: gone"]
    with pytest.raises(SandboxError, match="too long"):
        install(Engine(124), IMAGE, "tag", {}, ["pytest"], lines.append)
