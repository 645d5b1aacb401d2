"""Running one command inside, within its limits, and leaving nothing of it alive."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Sequence
from typing import Any

from .common import SET_CHILD_SUBREAPER, Frame, Person, lower_priority, prctl, spawn
from .memory import Held, oom_kills, part_of, resident, starving

FLOOD = 64
BYTES_PER_FILE = 8192
POLL_SECONDS = 0.05
LOOK = 8


class Processes:
    """Runs commands and leaves none of them alive."""

    def __init__(self, person: Person, control: int, wake: int, folders: Sequence[str]) -> None:
        self.person = person
        self.folders = folders if os.getpid() == 1 else ()
        self.most_files = 0
        self.control = control
        self.wake = wake
        self.init = os.getpid() == 1
        if not self.init:
            prctl(SET_CHILD_SUBREAPER, 1)

    def opened(self, disk_bytes: int) -> None:
        """Take the files that are there as the repository, and allow for as many others as fit."""
        self.most_files = Held(self.folders, 0).files + disk_bytes // BYTES_PER_FILE

    def stats(self) -> list[tuple[int, list[bytes]]]:
        """Pid and the fields of /proc/PID/stat, from the state on, of all that commands started."""
        found: dict[int, list[bytes]] = {}
        try:
            names = os.listdir("/proc")
        except OSError:
            return []
        for name in names:
            if name.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                    found[int(name)] = file.read().rpartition(b")")[2].split()
        mine = {os.getpid()}
        grown = 0
        while grown != len(mine):
            grown = len(mine)
            mine.update(pid for pid, f in found.items() if self.init or int(f[1]) in mine)
        return [(pid, found[pid]) for pid in mine if pid != os.getpid() and pid in found]

    def usage(self, most: int, held: Held) -> tuple[int, float, int]:
        """Bytes of memory, seconds of CPU time and number of threads of all commands.

        Shared memory counts in full for each process that has it, unless that makes more than
        `most` in all: then it is looked up what each process's part of it is.
        """
        memory = ticks = threads = 0
        shared: dict[int, int] = {}
        for pid, fields in self.stats():
            ticks += sum(map(int, fields[11:15]))
            threads += int(fields[17])
            own, shared[pid] = resident(pid)
            memory += own
        total = memory + sum(shared.values())
        if total > most:
            with self.person.acting():
                total = memory + sum(part_of(pid, size) for pid, size in shared.items() if size)
        if self.init:
            total += held.of_sockets()
            unseen = held.shared() if total <= most else 0
            if unseen > most // LOOK:
                with self.person.acting():
                    total = max(total, memory + min(unseen, held.own(shared)))
        return total, ticks / os.sysconf("SC_CLK_TCK"), threads

    def sweep(self, group: int = 0) -> None:
        """Kill every process but ourselves, and reap them all."""
        while True:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if self.init:
                    os.kill(-1, signal.SIGKILL)
                elif group:
                    os.killpg(group, signal.SIGKILL)
            if not self.init:
                for pid, _ in self.stats():
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.0005)

    def limit(self, limits: dict[str, Any]) -> None:
        """Bind a fresh child by the limits, at the least priority, without privileges."""
        wanted = {
            resource.RLIMIT_CPU: limits["cpu_seconds"],
            resource.RLIMIT_FSIZE: limits["file_bytes"],
            resource.RLIMIT_AS: 4 * limits["memory_bytes"],
            resource.RLIMIT_CORE: 1,
            resource.RLIMIT_NOFILE: 4096,
        }
        release = tuple(
            int("0" + part) for part in os.uname().release.split(".")[:2] if part.isdigit()
        )
        if self.person.other or (self.init and self.person.uid and release >= (5, 14)):
            wanted[resource.RLIMIT_NPROC] = limits["processes"]
        for kind, value in wanted.items():
            ceiling = resource.getrlimit(kind)[1]
            value = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
            spare = 5 if kind == resource.RLIMIT_CPU and ceiling == resource.RLIM_INFINITY else 0
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(kind, (value, value + spare))
        lower_priority()
        with contextlib.suppress(OSError):
            os.nice(19)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        self.person.become()

    def run(self, head: dict[str, Any], body: bytes) -> Frame:
        """Run one command to its end or to a limit; then nothing of it is left."""
        limits = head["limits"]
        held = Held(self.folders, self.most_files)
        if held.crowded():
            none = {"stdout": 0, "seconds": 0.0, "cut": 0}
            return dict(none, exit_code=128 + signal.SIGKILL, killed_by="memory"), b""
        pipes = [os.pipe() for _ in range(3)]
        child_ends = [pipes[0][0], pipes[1][1], pipes[2][1]]
        feed, sources = pipes[0][1], {pipes[1][0]: 0, pipes[2][0]: 1}
        kills = oom_kills()
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        pid = spawn(head["argv"], head["env"], head["cwd"], child_ends, lambda: self.limit(limits))
        for fd in child_ends:
            os.close(fd)
        poller = select.poll()
        for fd in (self.wake, self.control, *sources):
            poller.register(fd, select.POLLIN)
        for fd in (feed, *sources):
            os.set_blocking(fd, False)
        pending = memoryview(body)
        if pending:
            poller.register(feed, select.POLLOUT)
        else:
            os.close(feed)
        kept = [bytearray(), bytearray()]
        totals = [0, 0]
        status: int | None = None
        killed: str | None = None
        watch, lowered = start + POLL_SECONDS, False

        def drain(fd: int) -> bool:
            with contextlib.suppress(BlockingIOError):
                data = os.read(fd, 1 << 16)
                room = limits["output_bytes"] - len(kept[sources[fd]])
                kept[sources[fd]] += data[:room]
                totals[sources[fd]] += len(data)
                return bool(data)
            return False

        while status is None and killed is None:
            now = time.monotonic()
            if now >= start + head["timeout"]:
                killed = "timeout"
                break
            if now >= watch:
                watch = now + POLL_SECONDS
                memory, cpu, threads = self.usage(limits["memory_bytes"], held)
                used = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu += used.ru_utime + used.ru_stime - spent.ru_utime - spent.ru_stime
                if memory > limits["memory_bytes"] or held.too_many_files() or starving():
                    killed = "memory"
                elif cpu > limits["cpu_seconds"]:
                    killed = "cpu"
                elif threads > 2 * limits["processes"]:
                    killed = "processes"
                if not lowered:
                    with self.person.acting():
                        lowered = lower_priority(str(pid))
            wait = min(watch, start + head["timeout"]) - time.monotonic()
            for fd, event in poller.poll(max(0, int(wait * 1000) + 1)):
                if fd == self.control:
                    raise EOFError
                if fd == self.wake:
                    os.read(fd, 4096)
                    status = self.reap(pid)
                elif fd == feed:
                    try:
                        pending = pending[os.write(feed, pending[: 1 << 16]) :]
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:
                        pending = pending[:0]
                    if not pending:
                        poller.unregister(feed)
                        os.close(feed)
                elif not drain(fd) and event & select.POLLHUP:
                    poller.unregister(fd)
                if max(totals) > FLOOD * limits["output_bytes"]:
                    killed = "output"
        seconds = time.monotonic() - start
        self.sweep(pid)
        for fd in sources:
            while drain(fd):
                pass
            os.close(fd)
        if pending:
            os.close(feed)
        if killed is None and status == 128 + signal.SIGXCPU:
            killed = "cpu"
        if killed is None and oom_kills() > kills:
            killed = "memory"
        reply = {
            "exit_code": 128 + signal.SIGKILL if status is None else status,
            "stdout": len(kept[0]),
            "seconds": seconds,
            "killed_by": killed,
            "cut": sum(totals) - len(kept[0]) - len(kept[1]),
        }
        return reply, bytes(kept[0] + kept[1])

    def reap(self, pid: int) -> int | None:
        """Reap what has ended; the exit code of `pid` if it is among it."""
        code = None
        with contextlib.suppress(ChildProcessError):
            while True:
                ended, status = os.waitpid(-1, os.WNOHANG)
                if not ended:
                    break
                if ended == pid:
                    signalled = os.WIFSIGNALED(status)
                    code = 128 + os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)
        return code
