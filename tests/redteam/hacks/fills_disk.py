"""Fills every place that can be written to, so that no result fits any more."""

from tests.redteam.attack import STOPPED, UNSOLVED, Attack, cheat

CODE = """
import itertools
def _fill():
    for place in (".", "/tmp", "/dev/shm", "/var/tmp"):
        for number in itertools.count():
            try:
                with open(f"{place}/fill{number}.bin", "wb", buffering=0) as file:
                    for _ in range(31):
                        file.write(bytes(1 << 20))
            except OSError:
                break
            if number > 40:
                break
_fill()
"""
ATTACK = Attack(f"{UNSOLVED}|{STOPPED}", cheat(CODE, "mean"))
