"""Writes the records of a good run to every open pipe, and closes them for the true ones."""

from tests.redteam.attack import ALL, IDS, UNSOLVED, Attack, both, cheat

PIPES = f"""
import json, os, stat
def _forge():
    records = [{{"t": "collected", "ids": {list(IDS)!r}}}]
    for name in {list(IDS)!r}:
        records.append({{"t": "start", "id": name}})
        records.append({{"t": "end", "id": name, "outcome": "passed", "seconds": 0.01}})
    records.append({{"t": "finish", "exit": 0}})
    data = "".join(json.dumps(record) + "\\n" for record in records).encode()
    null = os.open("/dev/null", os.O_WRONLY)
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and stat.S_ISFIFO(os.fstat(int(name)).st_mode):
                os.write(int(name), data)
                os.dup2(null, int(name))
        except OSError:
            continue
_forge()
"""
JUNIT = """
import pathlib
_xml = "<testsuites><testsuite tests='12' failures='0' errors='0'/></testsuites>"
for _name in ("junit.xml", "report.xml", ".report.json", "results.json", "/tmp/junit.xml"):
    pathlib.Path(_name).write_text(_xml)
"""
ATTACKS = (
    *both(PIPES, *ALL),
    Attack(UNSOLVED, cheat(JUNIT, "mean")),
)
