"""Kills the process that counts: bluntly, and after having written its report for it."""

from tests.redteam.attack import ALL, IDS, LIE, STOPPED, UNSOLVED, Attack, cheat, hidden

BLUNT = """
import os
import signal
{}
"""
LAST_WORDS = f"""
import json, os, struct, time
_price = price
def price(grams, zone="home"):
    time.sleep(0.5)
    records = []
    for name in {list(IDS)!r}:
        records.append({{"t": "start", "id": name}})
        records.append({{"t": "end", "id": name, "outcome": "passed", "seconds": 0.01}})
    records.append({{"t": "done", "exit": 0, "finished": True}})
    data = "".join(json.dumps(record) + "\\n" for record in records).encode()
    block = bytes(1) + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    try:
        stream = os.open(f"/proc/{{os.getppid()}}/fd/1", os.O_WRONLY)
    except OSError:
        call = __import__("cty" + "pes").CDLL(None).syscall
        stream = call(438, os.pidfd_open(os.getppid()), 1, 0)
    if stream >= 0:
        os.write(stream, block)
        getattr(os, "ki" + "ll")(os.getppid(), 9)
    return _price(grams, zone)
"""
FINDS = f"ends the process|{STOPPED}|{UNSOLVED}"
ATTACKS = (
    Attack("ends the process", cheat(BLUNT.format("os.kill(os.getppid(), 9)"), "mean")),
    Attack(FINDS, cheat(BLUNT.format("getattr(os, 'ki' + 'll')(os.getppid(), 9)"), "mean")),
    Attack(FINDS, cheat(BLUNT.format("getattr(os, 'ki' + 'll')(-1, 9)"), "mean")),
    Attack(f"{LIE}|{FINDS}", cheat(hidden(LAST_WORDS), *ALL), where="control"),
)
