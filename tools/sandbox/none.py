"""No sandbox: commands run on the host, in a temporary folder. For explicit requests only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable

from tools.sandbox.base import File, SandboxError, Spec
from tools.sandbox.bubblewrap import base_env
from tools.sandbox.channel import BOOTSTRAP, Session
from tools.sandbox.environment import default_python, own_python
from tools.sandbox.local import LocalProcess


def open_none(files: Iterable[File], spec: Spec) -> Session:
    """Open a folder to work in. Limits hold, and what a command starts ends with it; but it
    runs as the caller and sees the whole host. Raises SandboxError."""
    python = default_python()
    if spec.environment:
        python = os.path.join(os.path.abspath(spec.environment), "bin", "python")
        if not os.access(python, os.X_OK):
            raise SandboxError(f"{spec.environment}: no Python environment")
    scratch = os.path.realpath(tempfile.mkdtemp(prefix="apprentice-"))
    for name in ("workspace", "home", "tmp"):
        os.mkdir(os.path.join(scratch, name))
    env = base_env()
    env.update(HOME=os.path.join(scratch, "tmp"), TMPDIR=os.path.join(scratch, "tmp"))
    env["PATH"] = os.path.dirname(python) + os.pathsep + os.environ.get("PATH", os.defpath)
    if spec.environment:
        env["VIRTUAL_ENV"] = os.path.abspath(spec.environment)
    hello = {
        "workspace": os.path.join(scratch, "workspace"),
        "home": os.path.join(scratch, "home"),
        "scratch": scratch,
        "uid": 0 if os.geteuid() == 0 else None,
        "env": {**env, **spec.env},
        "python": python,
    }
    transport = LocalProcess([own_python(), "-I", "-S", "-c", BOOTSTRAP], {"PATH": env["PATH"]})
    session = Session("none", transport, spec, hello)
    session.fill(files)
    return session
