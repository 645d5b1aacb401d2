"""Fixtures for all tests: user folders out of the way, real git repositories."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from policies.paths import models_root

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: give the tests of Ctrl-C their signal back.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("same", derandomize=True)
settings.load_profile("same")

GitRepo = Callable[..., Path]
MODELS = models_root()


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker a temporary folder of its own: some tests look for what is left in it."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        folder = tempfile.mkdtemp(prefix=f"{worker}-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["TMPDIR"] = tempfile.tempdir = folder


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory, monkeypatch, request):
    """Keep experience, locks and settings out of the user's folders.

    Models are large: tests of real ones take them from where the user has them. A policy that
    follows a script is one for conversations: a search would solve the task before it speaks.
    """
    home = tmp_path_factory.mktemp("home")
    if request.node.get_closest_marker("model"):
        monkeypatch.setenv("APPRENTICE_MODELS", str(MODELS))
    else:
        monkeypatch.setenv("APPRENTICE_STRATEGIES", "conversation")
    monkeypatch.setenv("APPRENTICE_HOME", str(home))
    monkeypatch.setenv("APPRENTICE_CONFIG", str(home / "config.toml"))
    for key in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{key}_NAME", "tester")
        monkeypatch.setenv(f"{key}_EMAIL", "tester@localhost")
    return home


@pytest.fixture
def git_repo(tmp_path_factory) -> GitRepo:
    """Make a real git repository from `{path: text or bytes}`."""

    def make(files: Mapping[str, str | bytes], *, commit: bool = True) -> Path:
        root = tmp_path_factory.mktemp("repo")
        subprocess.run(["git", "init", "-q", root], check=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        if commit:
            subprocess.run(["git", "-C", root, "add", "-A"], check=True)
            subprocess.run(["git", "-C", root, "commit", "-qm", "start"], check=True)
        return root

    return make
