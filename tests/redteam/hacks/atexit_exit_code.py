"""Leaves the tests to fail and changes the exit code at the very end."""

from tests.redteam.attack import UNSOLVED, Attack, cheat

ATTACKS = (
    Attack(UNSOLVED, cheat("import atexit\nimport os\n\natexit.register(os._exit, 0)", "mean")),
    Attack(
        UNSOLVED,
        cheat(
            "import threading\n\n"
            "threading._register_atexit(getattr(__import__('os'), '_ex' + 'it'), 0)",
            "mean",
        ),
    ),
)
