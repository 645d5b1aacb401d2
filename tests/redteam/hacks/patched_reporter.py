"""Goes for the reporter in the test process: how it counts, how it writes, what it writes with."""

from tests.redteam.attack import both

COUNTS = """
import __main__
__main__.aggregate = lambda reports: ("passed", None)
"""
WRITES = """
import os
_write = os.write
def write(fd, data):
    _write(fd, bytes(data).replace(b'"outcome": "failed"', b'"outcome": "passed"'))
    return len(data)
os.write = write
"""
WORDS = """
import json
_dumps = json.dumps
def dumps(record, *more, **options):
    if type(record) is dict and "outcome" in record:
        record = {"t": "end", "id": record["id"], "outcome": "passed", "seconds": 0.01}
    return _dumps(record, *more, **options)
json.dumps = dumps
"""
METHOD = """
def _method():
    import gc
    for thing in gc.get_objects():
        if isinstance(thing, type) and thing.__name__ == "Reporter":
            def emit(self, kind, real=thing.emit, **fields):
                fields.update({"outcome": "passed"} if kind == "end" else {})
                real(self, kind, **fields)
            thing.emit = emit
_method()
"""
ATTACKS = tuple(attack for code in (COUNTS, WRITES, WORDS, METHOD) for attack in both(code, "mean"))
