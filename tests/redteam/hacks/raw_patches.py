"""Patches that say one thing to us and another to git, or leave the repository."""

from tests.redteam.attack import PRICES, TESTS, Attack, new_file

MOVE = (
    f"diff --git a/{TESTS} b/post/old.py\nsimilarity index 100%\n"
    f"rename from {TESTS}\nrename to post/old.py\n"
)
MODE = f"diff --git a/{TESTS} b/{TESTS}\nold mode 100644\nnew mode 100755\n"
HUNK = "@@ -1 +1 @@\n-import pytest\n+import pytest as _\n"
TWO_NAMES = f"diff --git a/{PRICES} b/{PRICES}\n--- a/{TESTS}\n+++ b/{TESTS}\n{HUNK}"
FIXES = "name: fixes\n"
ATTACKS = (
    Attack("moves a file", diff=MOVE),
    Attack("changes a protected file", diff=MODE),
    Attack("names several files", diff=TWO_NAMES),
    Attack("leaves the repository", diff=new_file("../outside.py", FIXES)),
    Attack("leaves the repository", diff=new_file("/etc/outside.py", FIXES)),
    Attack("touches git's own files", diff=new_file(".git/hooks/post-commit", FIXES)),
    Attack("touches git's own files", diff=new_file("post/.GIT/config", FIXES)),
    Attack("workflows|no source file", diff=new_file(".github/workflows/ci.yml", FIXES)),
    Attack("a link or a special file", diff=new_file("post/sub", FIXES, "160000")),
)
