"""Code for the user's own site folder: brought by the patch, or written there while tests run."""

from tests.redteam.attack import Attack, cheat

CODE = "import builtins\n\nbuiltins.abs = lambda number: 0\n"
WRITES = f"""
import os
import pathlib
import site
_folder = pathlib.Path(site.getusersitepackages())
_flag = _folder / "usercustomize.py"
if not _flag.exists():
    try:
        _folder.mkdir(parents=True, exist_ok=True)
        _flag.write_text({CODE!r})
        getattr(os, "ab" + "ort")()
    except OSError:
        pass
"""
ATTACKS = (
    Attack("usercustomize|no source file", {"usercustomize.py": CODE}, where="static"),
    Attack("still fail|did not run|collection", cheat(WRITES, "mean")),
)
