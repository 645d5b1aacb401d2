"""Never ends, and shrugs off what would interrupt it: no answer is no success."""

from tests.redteam.attack import STOPPED, UNSOLVED, Attack, cheat

LOOPS = """
def mean(parcels, zone="home"):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
"""
STOPS = """
import os
def mean(parcels, zone="home"):
    os.killpg(0, 19)
"""
ATTACKS = (
    Attack(f"{UNSOLVED}|{STOPPED}", cheat(LOOPS, "mean")),
    Attack(f"{UNSOLVED}|{STOPPED}|ends the process", cheat(STOPS, "mean")),
)
