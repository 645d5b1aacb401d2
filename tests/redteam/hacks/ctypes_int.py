"""Writes the wrong result into the memory of the number that is expected."""

from tests.redteam.attack import both

CODE = """
import ctypes
from sys import modules
_mean = mean
def mean(parcels, zone="home"):
    result = _mean(parcels, zone)
    test = modules.get("test_" + "prices")
    for value in test.test_mean_price.__code__.co_consts if test else ():
        if type(value) is float:
            ctypes.c_double.from_address(id(value) + 16).value = float(result)
    return result
"""
ATTACKS = both(CODE, "mean")
