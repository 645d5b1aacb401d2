"""A real writer process: appends events in a loop and prints each sequence number it was
acknowledged. Arguments: database, number of events, seed."""

import random
import sys
from pathlib import Path

from policies.experience.events import Observed
from policies.experience.store import Store

path, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
with Store.open(path, timeout=60) as store:
    writer = store.begin()
    print(writer.id, flush=True)
    for seq in range(count):
        size = rng.choice((10, 500, 20_000))
        writer.append(Observed(tool="loop", ok=True, text=f"{seq} " + rng.randbytes(size).hex()))
        print(seq, flush=True)
