"""A Python environment of the host inside bubblewrap: importable, read-only, without our code."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.sandbox.conftest import LIMITS
from tools.sandbox import environment as environments
from tools.sandbox.base import File, Sandbox, SandboxError, Spec
from tools.sandbox.choose import open_sandbox
from tools.sandbox.environment import default_python, is_system, mounts_of

FINDER = """
MAPPING: dict[str, str] = {'agent': '/elsewhere/agent', 'mine': 'ROOT/src/mine'}
import sys
from importlib.machinery import PathFinder
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return PathFinder.find_spec(name, [MAPPING[name].rpartition('/')[0]])
def install(): sys.meta_path.append(Finder)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with a package, packages named like ours, and editable installs."""
    top = tmp_path_factory.mktemp("env") / "venv"
    venv.create(top, symlinks=True)
    packages = next(top.glob("lib/python3*/site-packages"))
    for name in ("wanted", "agent", "tools"):
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("here = True\n")
    (packages / "policies.py").write_text("here = True\n")
    root = top.parent / "repo"
    (packages / "plain.pth").write_text(f"{root}/lib\n")
    (packages / "__editable___x_finder.py").write_text(FINDER.replace("ROOT", str(root)))
    (packages / "__editable__.x.pth").write_text(
        "import __editable___x_finder; __editable___x_finder.install()"
    )
    return top


def imports(sandbox: Sandbox, name: str) -> bool:
    return sandbox.run([sandbox.python, "-c", f"import {name}"]).exit_code == 0


def test_packages_of_the_environment(environment: Path) -> None:
    root = environment.parent / "repo"
    files = [
        File("lib/other.py", b"x = 1\n"),
        File("src/mine/__init__.py", b"x = 2\n"),
    ]
    spec = Spec(environment=str(environment), limits=LIMITS, root=str(root))
    with open_sandbox("bubblewrap", files, spec) as sandbox:
        assert sandbox.python == str(environment / "bin" / "python")
        assert imports(sandbox, "wanted")
        for name in ("agent", "tools", "policies"):
            assert not imports(sandbox, name), name
        script = "import other, mine, sys; print(other.x, mine.x, sys.prefix)"
        out = sandbox.run([sandbox.python, "-c", script])
        assert out.stdout.decode().split() == ["1", "2", str(environment)], out.stderr
        script = f"import wanted; open(wanted.__file__, 'a'); open('{environment}/x', 'w')"
        assert sandbox.run([sandbox.python, "-c", script]).exit_code != 0
        assert sandbox.run(["python", "-c", "import wanted"]).exit_code == 0
        assert sandbox.run(["ls", str(environment.parent)]).stdout == b"venv\n"
    assert not (environment / "x").exists()


def test_our_own_environment_does_not_show_us() -> None:
    spec = Spec(environment=sys.prefix, limits=LIMITS)
    with open_sandbox("bubblewrap", [], spec) as sandbox:
        assert imports(sandbox, "pytest")
        for name in ("agent", "tools", "policies"):
            assert not imports(sandbox, name), name


def test_default_python_is_not_ours() -> None:
    python = default_python()
    assert not python.startswith(sys.prefix + "/") or sys.prefix == sys.base_prefix
    with open_sandbox("bubblewrap", [], Spec(limits=LIMITS)) as sandbox:
        assert sandbox.python == python
        assert not imports(sandbox, "tools")


def test_a_wrong_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no Python environment"):
        open_sandbox("bubblewrap", [], Spec(environment=str(tmp_path)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a secret and a repository that commits links in place of an environment."""
    top = tmp_path / "home" / "me"
    (top / ".ssh").mkdir(parents=True)
    (top / "repo" / ".venv" / "bin").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(top))
    return top


@pytest.mark.parametrize("target", ["../../..", "../../../.ssh", "../../../..", "/", "python"])
def test_a_link_to_a_folder_is_no_interpreter(home: Path, target: str) -> None:
    environment = home / "repo" / ".venv"
    (environment / "bin" / "python").symlink_to(target)
    with pytest.raises(SandboxError, match="no Python environment"):
        mounts_of(str(environment), (), None)


def test_folders_on_the_way_to_an_interpreter_are_not_shown(home: Path) -> None:
    environment = home / "repo" / ".venv"
    (home / "repo" / "hop").symlink_to("../.ssh")
    (home / ".ssh" / "python").symlink_to(default_python())
    (environment / "bin" / "python").symlink_to("../../hop/python")
    binds = mounts_of(str(environment), (), None).binds
    assert not {str(home), str(home / ".ssh"), str(home / "repo")} & {*map(os.path.realpath, binds)}


@pytest.mark.parametrize("target", ["..", "../..", "/"])
def test_an_environment_that_is_the_home_or_above_it(home: Path, target: str) -> None:
    for top in (home, home.parent):
        (top / "bin").mkdir()
        (top / "bin" / "python").symlink_to(default_python())
    link = home / "repo" / "env"
    link.symlink_to(target)
    if not any((link / "bin" / name).exists() for name in ("python", "python3")):
        pytest.skip("no python there")
    with pytest.raises(SandboxError, match="home folder"):
        mounts_of(str(link), (), None)


def test_links_in_an_environment_are_not_read(environment: Path, tmp_path: Path) -> None:
    top = tmp_path / "venv"
    venv.create(top, symlinks=True)
    packages = next(top.glob("lib/python3*/site-packages"))
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "a.pth").write_text("/root/of/it/src\n")
    os.mkfifo(packages / "never.pth")
    (packages / "link.pth").symlink_to(secret / "a.pth")
    (top / "lib" / "python3.99").mkdir()
    (top / "lib" / "python3.99" / "site-packages").symlink_to(secret)
    (packages / "plain.pth").write_text("/root/of/it/src\n")
    files = mounts_of(str(top), (), "/root/of/it").files
    assert files == {str(packages / "plain.pth"): b"/workspace/src\n"}


def test_an_environment_where_the_sandbox_has_its_own(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "COVERED", (str(environment.parent),))
    with pytest.raises(SandboxError, match="folder of its own"):
        open_sandbox("bubblewrap", [], Spec(environment=str(environment), limits=LIMITS))


def test_the_workspace_may_have_packages_named_like_ours(environment: Path) -> None:
    files = [File("tools/__init__.py", b"mine = True\n")]
    spec = Spec(environment=str(environment), limits=LIMITS)
    with open_sandbox("bubblewrap", files, spec) as sandbox:
        assert imports(sandbox, "tools")


USER = """
from tests.sandbox.conftest import FILES, LIMITS
from tools.sandbox.base import Spec
from tools.sandbox.choose import open_sandbox
with open_sandbox("bubblewrap", FILES, Spec(limits=LIMITS)) as sandbox:
    path = sandbox.place("h.py", b"print(1)")
    hostile = f"kill -9 1; rm -rf /apprentice/private/*; echo x > {path}; umount /apprentice/*"
    sandbox.run(["sh", "-c", hostile])
    assert sandbox.run([sandbox.python, path]).stdout == b"1\\n"
    assert sandbox.run(["ls", "-A", "/apprentice/private"]).stdout == b""
    sandbox.write("a.py", b"changed\\n")
    first = sandbox.snapshot()
    assert "+changed" in sandbox.diff()
    sandbox.run(["sh", "-c", "rm -rf * .git"])
    sandbox.restore(first)
    assert sandbox.read("a.py") == b"changed\\n"
    assert sandbox.run(["id", "-u"]).stdout == b"1000\\n"
    assert sandbox.run(["unshare", "-Ur", "true"]).exit_code != 0
    bomb = "import os\\nwhile True:\\n    try: os.fork()\\n    except OSError: pass"
    assert sandbox.run([sandbox.python, "-c", bomb], timeout=1).killed_by
    assert sandbox.run(["echo", "fine"]).stdout == b"fine\\n"
print("done")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test runs as an ordinary user then")
def test_as_an_ordinary_user() -> None:
    python = default_python()
    if not is_system(os.path.realpath(python)):
        pytest.skip("no Python that another user may run")
    paths = [p for p in sys.path if p and "lib-dynload" not in p and not is_system(p)]
    packages = [p for p in paths if p.endswith("site-packages")]
    code = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-c", USER],
        env={
            "PATH": os.defpath,
            "PYTHONPATH": ":".join([code, *packages]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        check=False,
    )
    assert done.stdout == b"done\n", done.stderr.decode()
