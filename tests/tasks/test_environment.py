"""Environments of tasks: wheels alone, and nothing of them runs here."""

import subprocess

import pytest

from agent.status import EnvironmentFailure
from agent.tasks.environment import declared, environment_folder, installed, pinned, python_version
from agent.tasks.instance import EnvironmentSetup
from tests.tasks.samples import NEEDS
from tools.sandbox.base import File, SandboxError


def test_an_environment_is_made_once_and_says_what_it_holds():
    setup = pinned(EnvironmentSetup(packages=NEEDS))
    assert set(NEEDS) < set(setup.packages)
    assert setup.python == python_version()
    folder = environment_folder(setup)
    assert installed(folder) == setup.packages
    stamp = (folder / "complete").stat().st_mtime_ns
    assert environment_folder(setup) == folder
    assert (folder / "complete").stat().st_mtime_ns == stamp
    shown = [folder / "bin/python", "-I", "-c", "import pytest; print(pytest.__file__)"]
    done = subprocess.run(shown, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(folder))


@pytest.mark.parametrize(
    "form", ["evil @ file://{}", "evil @ git+file://{}", "{}", "-r {}", "--pre"]
)
def test_what_would_be_built_here_is_refused(tmp_path, form):
    mark = tmp_path / "ran"
    (tmp_path / "setup.py").write_text(f"open({str(mark)!r}, 'w')\n")
    setup = EnvironmentSetup(packages=(form.format(tmp_path),))
    with pytest.raises(EnvironmentFailure, match=r"is no package|leads to a URL"):
        environment_folder(setup)
    assert not mark.exists()


def test_an_unknown_package_and_another_python_are_told():
    with pytest.raises(EnvironmentFailure, match="cannot be installed as wheels"):
        environment_folder(EnvironmentSetup(packages=("no-such-package-at-all==1",)))
    with pytest.raises(EnvironmentFailure, match=r"the tests need Python 2\.7"):
        environment_folder(EnvironmentSetup(python="2.7"))


def test_declared_packages_are_those_of_the_project_and_its_tests():
    project = b'[project]\ndependencies = ["attrs>=1"]\n[dependency-groups]\ntest = ["idna"]\n'
    files = [
        File("pyproject.toml", project),
        File("requirements.txt", b"six # why\n-e .\n\n# no\n"),
    ]
    assert declared(files) == ("pytest", "six", "attrs>=1", "idna")


@pytest.mark.parametrize(
    "text",
    ["project = 1", '[project]\ndependencies = "abc"', "[dependency-groups]\ntest = 1", "oops ="],
)
def test_a_malformed_pyproject_is_told(text):
    with pytest.raises(SandboxError, match=r"pyproject\.toml"):
        declared([File("pyproject.toml", text.encode())])
