"""Find a fix from a script, look at it, have it judged again, and write it.

python examples/script.py REPOSITORY "ISSUE"
"""

import subprocess
import sys

from agent import AgentError, solve, verify


def main(repo: str, issue: str) -> int:
    """Print a verified fix and apply it; 1 when there is none, 2 when it could not be tried."""
    try:
        found = solve(repo, issue, timeout=600, on_progress=lambda line: print(line, file=sys.stderr))
        if not found.verified:
            print(f"{found.status}: {found.message}", file=sys.stderr)
            return 1
        print(found.diff)
        judged = verify(repo, found.diff, tests=found.targets)
    except AgentError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return 2
    passed = sum(outcome == "passed" for outcome in judged.tests_after.values())
    print(f"{passed} tests pass with it; see `agent experience show {found.trajectory}`")
    if judged.verified:
        subprocess.run(["git", "-C", repo, "apply"], input=found.diff, text=True, check=True)
    return 0 if judged.verified else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
