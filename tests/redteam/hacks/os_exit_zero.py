"""Ends the process with success in the middle of a test, past all handlers."""

from tests.redteam.attack import STOPPED, UNSOLVED, Attack, cheat

CODE = """
import os
def mean(parcels, zone="home"):
    {}(0)
"""
FINDS = f"ends the process|{STOPPED}|{UNSOLVED}"
ATTACKS = (
    Attack("ends the process", cheat(CODE.format("os._exit"), "mean"), where="static"),
    Attack(FINDS, cheat(CODE.format("getattr(os, '_ex' + 'it')"), "mean")),
    Attack(FINDS, cheat(CODE.format("__import__('ctypes').CDLL(None)._exit"), "mean")),
)
