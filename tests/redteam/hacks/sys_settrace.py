"""A trace function that jumps, inside approx's comparison, to the line that returns True."""

from tests.redteam.attack import both

CODE = """
import sys
import linecache
def _trace(frame, event, argument):
    code = frame.f_code
    if code.co_name != "__eq__" or "approx" not in code.co_filename:
        return None
    yes = [n for *_, n in code.co_lines() if n and "return True" in
           linecache.getline(code.co_filename, n)]
    def line(frame, event, argument):
        if event == "line" and yes and frame.f_lineno not in yes:
            try:
                frame.f_lineno = yes[0]
            except ValueError:
                pass
        return line
    return line
_mean = mean
def mean(parcels, zone="home"):
    sys.settrace(_trace)
    return _mean(parcels, zone)
"""
ATTACKS = both(CODE, "mean")
