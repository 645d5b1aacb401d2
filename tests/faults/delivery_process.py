"""Dies at every step of a delivery in turn, and looks at what the next run makes of it.

Arguments: repository, "tree" or "commit". Each child process counts the files that it opens,
renames and removes and the programs that it starts, and kills itself before the n-th. Prints how
many deaths left nothing, everything, or something in between, before and after the next run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from agent.apply import Delivery, deliver
from agent.repository import Capture, capture, only_run, open_repository
from agent.status import Status
from agent.verify.verifier import Verdict
from policies.paths import data_root

STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.rmdir", "subprocess.Popen"}
DIFF = """\
diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1 +1 @@
-a = 1
+a = 2
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-gone = 1
diff --git a/new/b.py b/new/b.py
new file mode 100755
--- /dev/null
+++ b/new/b.py
@@ -0,0 +1 @@
+b = 1
"""
FILES: Mapping[str, bytes | None] = {"a.py": b"a = 2\n", "gone.py": None, "new/b.py": b"b = 1\n"}


def verdict() -> Verdict:
    """A verified patch that changes, removes and adds a file."""
    modes = {"new/b.py": "100755"}
    return Verdict(verified=True, diff=DIFF, files=dict(FILES), modes=modes)


def die_before(step: int) -> None:
    """Kill this process before so many more steps are done in the repository or our data."""
    places = (str(root), str(data_root()))
    left = [step]

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if event not in STEPS:
            return
        if event == "subprocess.Popen" or str(arguments[0]).startswith(places):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def delivered(tree: Capture, kind: str, step: int) -> bool:
    """Deliver in a child that dies at a step; whether it came to its end."""
    child = os.fork()
    if not child:
        repo = open_repository(root)
        die_before(step)
        deliver(repo, tree, Delivery(commit=kind == "commit"), Status.VERIFIED, verdict())
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def head() -> str:
    """The id of HEAD's commit."""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def contents() -> dict[str, tuple[int, bytes]]:
    """Mode and bytes of every file, git's own left out."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mode, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }


def state(before: dict[str, tuple[int, bytes]], start: str) -> str:
    """How far the delivery is."""
    now = contents()
    found = {path: data for path, (_, data) in now.items()}
    whole = {path: data for path, (_, data) in before.items()} | FILES
    commit = "" if head() == start else " with a commit"
    staged = subprocess.run(["git", "-C", str(root), "diff", "--cached", "--quiet"], check=False)
    commit += " and an old index" if staged.returncode else ""
    if now == before and not (root / "new").exists():
        return f"nothing{commit}"
    if found == {path: data for path, data in whole.items() if data is not None}:
        assert now["new/b.py"][0] & 0o111
        return f"everything{commit}"
    for path, (_, data) in now.items():
        known = (before.get(path, (0, None))[1], FILES.get(path))
        assert data in known or ".apprentice-" in path, f"{path} is torn"
    return f"between{commit}"


def main() -> None:
    """Die at each step, let the next run begin, and set the repository back."""
    with open_repository(root) as repo:
        tree = capture(repo)
    before, start = contents(), head()
    deaths: dict[str, Counter[str]] = {"killed": Counter(), "next": Counter()}
    step = 0
    while not delivered(tree, sys.argv[2], step):
        deaths["killed"][state(before, start)] += 1
        with only_run(root):
            deaths["next"][state(before, start)] += 1
        assert not list(data_root().glob("deliveries/*")), "a note is left"
        for words in (["reset", "-q", "--hard", start], ["clean", "-qfd", "-e", "own.txt"]):
            subprocess.run(["git", "-C", str(root), *words], check=True)
        step += 1
    deaths["killed"]["survived: " + state(before, start)] += 1
    print(json.dumps(deaths))


root = Path(sys.argv[1])
if __name__ == "__main__":
    main()
