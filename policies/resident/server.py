"""The process that holds an engine for others: `python -m policies.resident.server WANTED`."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

from policies.base import PolicyError
from policies.llamaserver import LlamaServer
from policies.resident.record import Place, Record, Wanted, open_private, take

_LOOK_SECONDS = 1.0
_RIVAL_SECONDS = 2.0


def main(argument: str) -> int:
    """Serve until nobody needs it. A second server of the same engine ends at once."""
    wanted = Wanted.model_validate_json(argument)
    place = Place(wanted.key)
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end(place))
    # Who only looks whether we live holds the lock for a moment.
    alive = open_private(place.alive)
    if not take(alive, fcntl.LOCK_EX, _RIVAL_SECONDS):
        return 0
    place.record.unlink(missing_ok=True)
    adapter = Path(wanted.adapter) if wanted.adapter else None
    try:
        engine = LlamaServer(
            Path(wanted.model), wanted.cells, wanted.parallel, wanted.threads, adapter
        )
    except PolicyError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    host, port, secret = engine.address
    place.write(
        Record(
            wanted=wanted, pid=os.getpid(), host=host, port=port, secret=secret, since=time.time()
        )
    )
    _wait(place, wanted.idle_seconds)
    _end(place)
    return 0


def _wait(place: Place, idle_seconds: float) -> None:
    """Return, with new clients locked out, once nobody has been there for so long.

    A record that is gone tells that the folder was removed.
    """
    lease = open_private(place.lease)
    used = time.time()
    while place.record.exists():
        time.sleep(min(_LOOK_SECONDS, idle_seconds / 4))
        if not take(lease, fcntl.LOCK_EX, 0.0):
            used = time.time()
            continue
        used = max(used, os.fstat(lease.fileno()).st_mtime)
        if time.time() - used >= idle_seconds:
            return
        fcntl.flock(lease, fcntl.LOCK_UN)


def _end(place: Place) -> None:
    place.record.unlink(missing_ok=True)
    # Closing the engine would wait for the requests that still run.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
