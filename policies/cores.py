"""How many threads a model may use on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MAX_THREADS = 8
_CPUS = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_threads() -> int:
    """One thread for each physical core that this process may use, at most eight.

    Generation waits at barriers, so a thread more than there are cores (hyper-threads, a
    container's CPU quota) costs more than it brings.
    """
    return max(1, min(MAX_THREADS, _usable_cores(), _quota()))


def _usable_cores() -> int:
    if sys.platform == "darwin":
        try:
            answer = subprocess.run(
                ["sysctl", "-n", "hw.perflevel0.physicalcpu"],
                capture_output=True,
                text=True,
                check=True,
                timeout=5,
            )
            return int(answer.stdout)
        except (OSError, ValueError, subprocess.SubprocessError):
            return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    cores = set()
    for cpu in allowed:
        try:
            cores.add((_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip())
        except OSError:
            return len(allowed)
    return len(cores)


def _quota() -> int:
    try:
        limit, period = _QUOTA.read_text().split()
        return MAX_THREADS if limit == "max" else max(1, int(limit) // int(period))
    except (OSError, ValueError):
        return MAX_THREADS
