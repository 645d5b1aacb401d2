"""Images with a repository's dependencies."""

from __future__ import annotations

import pytest

from tools.sandbox.base import File, SandboxError
from tools.sandbox.docker import IMAGE
from tools.sandbox.prepare import dependency_files, prepare_image, requirements

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
