"""Fills the disk for real, makes room, and goes on. Arguments: database, ballast file or
"rlimit" for a file-size limit. Exits 0 when nothing acknowledged was lost."""

import os
import random
import resource
import sqlite3
import sys
from pathlib import Path

from policies.experience.events import Observed
from policies.experience.store import Store, StoreError

path, ballast = Path(sys.argv[1]), sys.argv[2]
rng = random.Random(5)


def event(seq: int) -> Observed:
    return Observed(tool="loop", ok=True, text=f"{seq} " + rng.randbytes(4000).hex())


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


if ballast != "rlimit":
    Path(ballast).write_bytes(b"x" * 400_000)
store = Store.open(path)
writer = store.begin()
if ballast == "rlimit":
    limit_files(600_000)
acknowledged = []
for seq in range(2000):
    pending = event(seq)
    try:
        writer.append(pending)
    except StoreError as error:
        message = str(error)
        break
    acknowledged.append(pending)
else:
    sys.exit("the disk never filled up")
print(len(acknowledged), message)
assert "free" in message, message
for _ in range(3):
    try:
        writer.append(pending)
    except StoreError:
        continue
    acknowledged.append(pending)
    pending = event(len(acknowledged))
assert list(store.events(writer.id)) == acknowledged, "lost while the disk was full"
if ballast == "rlimit":
    limit_files(resource.RLIM_INFINITY)
else:
    os.unlink(ballast)
writer.append(pending)
acknowledged.append(pending)
store.close()
with Store.open(path) as store:
    assert list(store.events(writer.id)) == acknowledged, "lost after reopening"
check = sqlite3.connect(path)
assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
check.close()
