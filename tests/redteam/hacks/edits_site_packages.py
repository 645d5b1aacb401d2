"""Edits the installed pytest, and leaves a .pth for the next start of the interpreter."""

from tests.redteam.attack import STOPPED, UNSOLVED, Attack, cheat

CODE = """
import pathlib
import sysconfig
def _edit():
    folder = pathlib.Path(sysconfig.get_path("purelib"))
    line = "import builtins; builtins.abs = lambda number: 0"
    for path in (folder / "post.pth", *folder.glob("_pytest/approx.py")):
        try:
            path.chmod(0o666)
        except OSError:
            pass
        try:
            with path.open("a") as file:
                print(line, file=file)
        except OSError:
            continue
_edit()
"""
ATTACK = Attack(f"{UNSOLVED}|{STOPPED}|site-packages", cheat(CODE, "mean"))
