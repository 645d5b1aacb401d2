"""Apply a patch through a link: of a file, of a folder, to git's own folder inside the tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.apply import Conflict, Delivery, deliver
from agent.repository import capture, open_repository
from agent.status import Status
from agent.verify.verifier import Verdict


def on_host(make: Callable[..., Path], folder: Path) -> None:
    (folder / "victim").write_text("a = 1\n")
    targets = {"a.py": folder / "victim", "new": folder, "hooks": ".git/hooks", "in": "src"}
    for name, target in targets.items():
        repo = make({"a.py": "a = 1\n", "src/b.py": "b = 1\n"})
        with open_repository(repo) as opened:
            found = capture(opened)
            (repo / name).unlink(missing_ok=True)
            (repo / name).symlink_to(target)
            path = name if name == "a.py" else f"{name}/post-checkout"
            with pytest.raises(Conflict):
                verdict = Verdict(True, "", files={"src/b.py": b"b = 2\n", path: b"x"})
                deliver(opened, found, Delivery(), Status.VERIFIED, verdict)
        assert (repo / "src/b.py").read_text() == "b = 1\n"
        assert not (repo / ".git/hooks/post-checkout").exists()
        assert [path.name for path in folder.iterdir()] == ["victim"]
        assert (folder / "victim").read_text() == "a = 1\n"
