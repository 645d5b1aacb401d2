"""Names for trajectories, and marks that tell a live process from a dead one."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from pathlib import Path

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26
_RANDOM_BITS = 80

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A ULID in lower case: sorts by time of making, and strictly so within one process."""
    global _last
    with _lock:
        fresh = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        if fresh >> _RANDOM_BITS <= _last >> _RANDOM_BITS:
            fresh = _last + 1
        _last = fresh
    return "".join(_CROCKFORD[fresh >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))


def is_id(text: str) -> bool:
    """Whether it has the form of a trajectory's name."""
    return len(text) == _LENGTH and set(text) <= set(_CROCKFORD)


def process_mark(pid: int) -> str:
    """What sets process `pid` apart from a later one of the same number: boot and start time.

    Empty where the system does not tell, or when there is no such process.
    """
    if sys.platform != "linux":
        return ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    state, *fields = stat[stat.rindex(b")") + 2 :].split()
    return "" if state in (b"Z", b"X") else f"{boot}:{int(fields[18])}"


def alive(pid: int, mark: str) -> bool:
    """True while the process that `process_mark` described still runs."""
    if mark:
        return process_mark(pid) == mark
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
