"""A delivery that dies at any of its steps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("delivery_process.py")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["tree", "commit"])
def test_the_next_run_leaves_a_patch_whole_or_undone(git_repo, kind):
    repo = git_repo({"a.py": "a = 1\n", "gone.py": "gone = 1\n"})
    (repo / "own.txt").write_text("untracked\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, repo, kind], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    deaths = json.loads(done.stdout)
    commit = " with a commit" if kind == "commit" else ""
    assert deaths["killed"][f"survived: everything{commit}"] == 1
    assert deaths["killed"]["between"] >= 5
    assert (f"everything{commit} and an old index" in deaths["killed"]) == (kind == "commit")
    assert set(deaths["next"]) <= {"nothing", "everything", f"everything{commit}"}
    assert sum(deaths["next"].values()) >= 10
