"""How much memory commands hold, also where it shows in no process.

Control groups would count all of it; docker has one, bubblewrap cannot make one. So it is asked
what each process holds, and beside that what is known of the rest: shared memory that is mapped
but not present in a process, inodes of file systems in memory, buffers of sockets. What remains
(buffers of pipes and the like) is bound by the numbers of processes and descriptors, and by the
host's last reserve.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable, Sequence

SOCKET_BYTES = 208 << 10
FREE_SOCKETS = 256
RESERVE = 64
KEPT = 32 << 20
UNKNOWN = 1 << 60
SOCKETS = "/proc/net/sockstat"


def sizes(path: str) -> dict[bytes, int]:
    """The lines of a file of /proc that give a size, in bytes."""
    with open(path, "rb") as file:
        words = [line.split() for line in file]
    return {w[0]: int(w[1]) * 1024 for w in words if len(w) == 3 and w[2] == b"kB"}


def resident(pid: int) -> tuple[int, int]:
    """Bytes that a process holds: of its own with its page tables, and of shared memory."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        found = sizes(f"/proc/{pid}/status")
        if b"RssAnon:" in found:
            own = found[b"RssAnon:"] + found.get(b"VmPTE:", 0)
            return own, found.get(b"RssShmem:", 0)
        with open(f"/proc/{pid}/statm", "rb") as file:
            pages, of_files = file.read().split()[1:3]
        return (int(pages) - int(of_files)) * resource.getpagesize(), 0
    return 0, 0


def part_of(pid: int, size: int) -> int:
    """A process's part of the shared memory it maps; all of it if it does not let us look."""
    try:
        return min(size, sizes(f"/proc/{pid}/smaps_rollup").get(b"Pss_Shmem:", size))
    except ProcessLookupError:
        return 0
    except FileNotFoundError:
        return size if os.path.exists(f"/proc/{pid}") else 0
    except (OSError, ValueError):
        return size


def oom_kills() -> int:
    """How many processes the kernel has killed in our control group for want of memory."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with contextlib.suppress(OSError), open(path) as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    return 0


def bounded() -> bool:
    """Whether a control group that we see bounds memory: docker's, in which all of it counts."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path) as file:
            return int(file.read()) < UNKNOWN
    return False


def unnamed(maps: Iterable[bytes]) -> dict[bytes, int]:
    """Bytes of shared memory without a file, by inode, in the lines of /proc/PID/maps.

    Its owner may give it a name, which newer kernels show (PR_SET_VMA_ANON_NAME).
    """
    found: dict[bytes, int] = {}
    for line in maps:
        fields = line.split(None, 5)
        name = fields[5].rstrip() if len(fields) == 6 else b""
        if name.endswith(b"/dev/zero (deleted)") or name.startswith(b"[anon_shmem:"):
            start, end = (int(at, 16) for at in fields[0].split(b"-"))
            found[fields[4]] = found.get(fields[4], 0) + end - start
    return found


def shares(pid: int) -> dict[bytes, int]:
    """Bytes of shared memory without a file that a process maps, by inode; without bound if it
    does not let us look."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            return unnamed(file)
    except (FileNotFoundError, ProcessLookupError):
        return {}
    except OSError:
        return {b"": UNKNOWN}


def starving() -> bool:
    """Whether the host has next to no memory left: less than a 64th of it."""
    with contextlib.suppress(OSError, ValueError):
        found = sizes("/proc/meminfo")
        return found.get(b"MemAvailable:", 1) * RESERVE < found.get(b"MemTotal:", 0)
    return False


class Held:
    """What a command comes to hold outside of processes, from its start on.

    `folders` are the file systems in memory of this sandbox; `most` is how many inodes they may
    have in all. Other shared memory is found as what the host has of it, less what is in them:
    others may have taken it, so it counts up to what the commands' own mappings may hold.
    """

    def __init__(self, folders: Sequence[str], most: int) -> None:
        self.folders = folders
        self.most = most
        self.mapped: dict[bytes, int] = {}
        self.bounded = bounded()
        self.before = 0
        self.before = self.shared()
        self.files = self.inodes()

    def shared(self) -> int:
        """Bytes of shared memory outside of the folders that have come since the start.

        0 where a control group counts it.
        """
        if self.bounded:
            return 0
        with contextlib.suppress(OSError, ValueError):
            found = [os.statvfs(folder) for folder in self.folders]
            inside = sum((f.f_blocks - f.f_bfree) * f.f_frsize for f in found)
            return sizes("/proc/meminfo").get(b"Shmem:", 0) - inside - self.before
        return 0

    def own(self, pids: Iterable[int]) -> int:
        """Bytes of shared memory without a file that what these processes map may hold.

        A page of it keeps the whole after the rest is unmapped, so each inode counts as the most
        that was seen of it, and as no less than KEPT, which can be filled between two looks.
        """
        now: dict[bytes, int] = {}
        for pid in pids:
            for inode, size in shares(pid).items():
                now[inode] = max(size, now.get(inode, 0))
        self.mapped = {i: max(size, self.mapped.get(i, KEPT)) for i, size in now.items()}
        return sum(self.mapped.values())

    def inodes(self) -> int:
        """Files, folders and links in the folders."""
        with contextlib.suppress(OSError):
            found = [os.statvfs(folder) for folder in self.folders]
            return sum(f.f_files - f.f_ffree for f in found)
        return 0

    def too_many_files(self) -> bool:
        """Whether there are more inodes than may be, and not fewer than at the start."""
        now = self.inodes()
        return now > self.most and now > self.files

    def crowded(self) -> bool:
        """Whether short commands have left so many inodes that no other may begin."""
        return self.files > 2 * self.most

    @staticmethod
    def of_sockets() -> int:
        """Bytes that the buffers of sockets may take, beyond a few of them."""
        with contextlib.suppress(OSError, ValueError, IndexError), open(SOCKETS, "rb") as file:
            return max(0, int(file.readline().split()[2]) - FREE_SOCKETS) * SOCKET_BYTES
        return 0
