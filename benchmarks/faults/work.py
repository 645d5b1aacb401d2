"""A repository with uncommitted work of all kinds, and how it stands after a run was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal

EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"
SCRATCH = ".apprentice-"

Entry = tuple[int, bytes]
Tree = dict[str, Entry]
State = Literal["untouched", "patched", "between", "damaged"]


def make_work(repo: Path) -> None:
    """The example in a git repository, and on top of it uncommitted work of all kinds."""
    shutil.copytree(EXAMPLE, repo, ignore=shutil.ignore_patterns("ISSUE.txt", "__pycache__"))
    for name in ("notes.txt", "old.txt", "tool.sh", "with space é.txt"):
        (repo / name).write_text(f"{name}\n")
    (repo / ".gitignore").write_text("*.log\n")
    (repo / "latest").symlink_to("notes.txt")
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", "-C", str(repo)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *words], check=True)
    for name in ("shop/__init__.py", "notes.txt"):
        with (repo / name).open("a") as file:
            file.write("# staged\n")
    subprocess.run([*git, "add", "-A"], check=True)
    for name in ("shop/basket.py", "notes.txt"):
        with (repo / name).open("a") as file:
            file.write("# unstaged\n")
    (repo / "old.txt").unlink()
    (repo / "tool.sh").chmod(0o755)
    (repo / "draft.py").write_text("untracked = True\n")
    (repo / "draft.py").chmod(0o600)
    (repo / "debug.log").write_bytes(b"ignored \xff\n")
    (repo / "away").symlink_to("../nowhere")
    (repo / "empty").mkdir()


def tree_of(root: Path) -> Tree:
    """Everything below a folder, git's own files included: mode and bytes by path."""
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            mode = path.lstat().st_mode
            data = b""
            if path.is_symlink():
                data = os.fsencode(os.readlink(path))
            elif path.is_file():
                data = path.read_bytes()
            found[path.relative_to(root).as_posix()] = (mode, data)
    return found


def state_of(now: Tree, before: Tree, patch: Tree) -> State:
    """How a tree stands between what it was and what the patch makes of it."""
    kept = {path: entry for path, entry in now.items() if not is_scratch(path)}
    if kept == before:
        return "untouched"
    if kept == {**before, **patch}:
        return "patched"
    allowed = all(kept.get(path) in (before.get(path), patch[path]) for path in patch)
    others = {path: entry for path, entry in kept.items() if path not in patch}
    same = others == {path: entry for path, entry in before.items() if path not in patch}
    return "between" if allowed and same else "damaged"


def is_scratch(path: str) -> bool:
    """Whether a path is of a file that a delivery prepares."""
    return path.rpartition("/")[2].startswith(SCRATCH)
