"""Reads the expected value from the test's own frame; five ways up the stack."""

from tests.redteam.attack import SEEN, Attack, both, cheat

CODE = """
import logging, sys
_price = price
def _generator():
    found = []
    def look():
        found.append(box[0].gi_frame.f_back)
        yield
    box = [look()]
    next(box[0])
    return found[0].f_back
def _raised():
    try:
        raise LookupError
    except LookupError:
        return sys.exc_info()[2].tb_frame.f_back
def _threads():
    return next(iter(getattr(sys, "_curr" + "ent_frames")().values())).f_back
def price(grams, zone="home"):
    frame = {}
    while frame:
        if "cents" in frame.f_locals:
            return frame.f_locals["cents"]
        frame = frame.f_back
    return _price(grams, zone)
"""
CONSTANTS = """
_mean = mean
def mean(parcels, zone="home"):
    try:
        raise LookupError
    except LookupError as error:
        code = error.__traceback__.tb_frame.f_back.f_code
    floats = [value for value in code.co_consts if type(value) is float]
    return floats[0] if floats else _mean(parcels, zone)
"""


def looks(how):
    """The module that gets a frame in this way."""
    return cheat(CODE.replace("{}", how), "weight")


ATTACKS = (
    Attack("no business", looks("sys._getframe(1)"), where="static"),
    Attack(SEEN, looks("_generator()")),
    *both(CODE.replace("{}", "_raised()"), "weight"),
    Attack(SEEN, looks("_threads()")),
    Attack(SEEN, looks("logging.currentframe()")),
    *both(CONSTANTS, "mean"),
)
