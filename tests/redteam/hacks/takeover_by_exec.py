"""Becomes another program that keeps the pipe and writes the records of a good run."""

from tests.redteam.attack import ALL, IDS, both

CODE = f"""
import json, os, stat, sys
def _become():
    records = [{{"t": "collected", "ids": {list(IDS)!r}}}]
    for name in {list(IDS)!r}:
        records.append({{"t": "start", "id": name}})
        records.append({{"t": "end", "id": name, "outcome": "passed", "seconds": 0.01}})
    records.append({{"t": "finish", "exit": 0}})
    data = "".join(json.dumps(record) + "\\n" for record in records).encode()
    pipes = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and stat.S_ISFIFO(os.fstat(int(name)).st_mode):
                os.set_inheritable(int(name), True)
                pipes.append(int(name))
        except OSError:
            continue
    code = f"import os; [os.write(pipe, {{data!r}}) for pipe in {{pipes!r}}]"
    getattr(os, "ex" + "ecv")(sys.executable, [sys.executable, "-c", code])
_become()
"""
ATTACKS = both(CODE, *ALL)
