"""What the runner knows of another agent, and its virtual environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Question:
    """What a peer is asked: the issue, the command of the tests, and where the model is."""

    issue: str
    test_command: str
    model: str
    url: str
    context_tokens: int


@dataclass(frozen=True)
class Peer:
    """An agent from PyPI.

    `argv` follows its Python, and starts with -E and -P, for a module of the task must not take
    the place of one that the peer needs. `env` joins the variables of the jail; `files` are put
    into its home folder.
    """

    name: str
    requirement: str
    argv: Callable[[Question], list[str]]
    env: Callable[[Question], Mapping[str, str]]
    files: Callable[[Question], Mapping[str, bytes]] = lambda question: {}


def constraints(peer: Peer) -> Path:
    """The versions of all that the peer depends on, for `pip install -c`."""
    return Path(__file__).with_name(f"constraints-{peer.name}.txt")


def installed(peer: Peer, work: Path) -> Path:
    """The peer's virtual environment below `work`, made on first use and for other versions."""
    folder = work.resolve() / peer.requirement
    done = folder / "complete"
    pinned = constraints(peer).read_text(encoding="utf-8")
    if not done.exists() or done.read_text(encoding="utf-8") != pinned:
        print(f"installing {peer.requirement} into {folder}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        python = str(folder / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "-qq"]
        pip += ["--only-binary=:all:", "-c", str(constraints(peer)), peer.requirement]
        subprocess.run(pip, check=True)
        done.write_text(pinned, encoding="utf-8")
    return folder
