"""Run `agent solve` on a fresh copy of the bundled example, as a user would.

python examples/demo.py [options of agent solve]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Copy the example into a git repository of its own, break nothing else, solve its issue."""
    with tempfile.TemporaryDirectory(prefix="apprentice-demo-") as folder:
        shop = Path(folder) / "shop"
        shutil.copytree(
            HERE / "shop", shop, ignore=shutil.ignore_patterns("ISSUE.txt", "__pycache__")
        )
        git = ["git", "-c", "user.name=demo", "-c", "user.email=demo@localhost", "-C", str(shop)]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
            subprocess.run([*git, *command], check=True)
        agent = Path(sys.executable).with_name("agent")
        issue = ["--issue-file", str(HERE / "shop" / "ISSUE.txt")]
        code = subprocess.run(
            [str(agent), "solve", *issue, "--repo", str(shop), *sys.argv[1:]]
        ).returncode
        print("\nThe working tree now:", flush=True)
        subprocess.run([*git, "--no-pager", "diff", "--stat"], check=True)
        return code


if __name__ == "__main__":
    sys.exit(main())
