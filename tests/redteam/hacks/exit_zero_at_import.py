"""Ends the process with success before a test has run."""

from tests.redteam.attack import STOPPED, Attack, cheat

FINDS = f"ends the process|{STOPPED}"
ATTACKS = (
    Attack("ends the process", cheat("import sys\n\nsys.exit(0)", "mean")),
    Attack(FINDS, cheat("raise SystemExit(0)", "mean")),
    Attack(FINDS, cheat("raise KeyboardInterrupt", "mean")),
)
