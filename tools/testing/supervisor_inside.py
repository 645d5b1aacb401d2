"""Runs inside the sandbox: starts pytest, watches it, and starts it again after a crash.

Standalone, standard library only, Python 3.8 and later. It reads its settings as JSON from
standard input and writes to standard output one line with the nonce and a compressed stream of
JSON lines. Code under test runs in a child process that has neither of the two.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import zlib
from typing import Any

NUDGE = getattr(signal, "SIGRTMIN", signal.SIGUSR1) + (9 if hasattr(signal, "SIGRTMIN") else 0)
DUMP = NUDGE + 1
NUDGE_EVERY = 3.0
NUDGES = 3
COLLECT_FACTOR = 4
MAX_RESTARTS = 20
EXIT_SECONDS = 2.0
HEAD, TAIL = 16_000, 48_000
SESSION = "<session>"
INTERRUPTED = 2


class Stream:
    """The compressed stream of records on standard output."""

    def __init__(self, nonce: str) -> None:
        self.packer = zlib.compressobj(6)
        self.fd = os.dup(1)
        self.dirty = False
        self.raw(f"\n{nonce}\n".encode())

    def raw(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.fd, data) :]

    def put(self, record: dict[str, Any]) -> None:
        self.raw(self.packer.compress(json.dumps(record).encode() + b"\n"))
        self.dirty = True

    def flush(self) -> None:
        if self.dirty:
            self.raw(self.packer.flush(zlib.Z_SYNC_FLUSH))
            self.dirty = False

    def finish(self) -> None:
        self.raw(self.packer.flush(zlib.Z_FINISH))


class Noise:
    """The head and the tail of what the child prints."""

    def __init__(self) -> None:
        self.head, self.tail, self.cut = b"", b"", 0

    def add(self, data: bytes) -> None:
        room = HEAD - len(self.head)
        self.head += data[:room] if room > 0 else b""
        self.tail += data[max(room, 0) :]
        if len(self.tail) > 2 * TAIL:
            self.cut += len(self.tail) - TAIL
            self.tail = self.tail[-TAIL:]

    def text(self) -> str:
        middle = f"\n[... {self.cut} bytes cut ...]\n".encode() if self.cut else b""
        return (self.head + middle + self.tail).decode("utf-8", "replace")

    def end(self) -> str:
        return (self.head + self.tail)[-8000:].decode("utf-8", "replace")


class Supervisor:
    """One session of tests, over as many child processes as it takes."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.stream = Stream(settings["nonce"])
        self.deadline = time.monotonic() + settings["timeout"]
        self.collected: list[str] = []
        self.done: set[str] = set()
        self.broken: list[str] = []
        self.running: str | None = None
        self.collecting: str | None = None
        self.since = 0.0
        self.nudged = 0
        self.finished: int | None = None
        self.forged = False

    def main(self) -> None:
        """Run children until all tests have an outcome or nothing more can be done."""
        for attempt in range(MAX_RESTARTS + 1):
            noise = Noise()
            self.running, self.collecting, self.finished = None, SESSION, None
            status, why = self.child(noise)
            left = [i for i in self.collected if i not in self.done]
            crashed = self.finished is None or (self.finished == INTERRUPTED and bool(left))
            if crashed:
                place = self.collecting if self.running is None else None
                self.stream.put(
                    {
                        "t": "crash",
                        "id": self.running,
                        "collecting": place,
                        "why": why,
                        "status": status,
                        "noise": noise.end(),
                    }
                )
            if not (crashed and why != "deadline" and attempt < MAX_RESTARTS and self.skip()):
                break
        exit_code = status if self.finished is None else self.finished
        self.stream.put({"t": "output", "text": noise.text()})
        self.stream.put({"t": "done", "exit": exit_code, "finished": self.finished is not None})
        self.stream.finish()

    def skip(self) -> bool:
        """Leave out what took the process down; False when there is nothing else to run."""
        if self.running is not None:
            self.done.add(self.running)
            return any(i not in self.done for i in self.collected)
        if self.collecting not in (None, SESSION):
            self.broken.append(str(self.collecting))
            return True
        return False

    def child(self, noise: Noise) -> tuple[int, str]:
        """One child process from start to end: its exit status and why it ended."""
        mark = os.urandom(16).hex().encode() + b" "
        settings_in, settings_out = os.pipe()
        results_in, results_out = os.pipe()
        noise_in, noise_out = os.pipe()
        script = self.settings["script"]
        process = subprocess.Popen(
            [sys.executable, script, str(settings_in), str(results_out)],
            stdin=subprocess.DEVNULL,
            stdout=noise_out,
            stderr=noise_out,
            pass_fds=(settings_in, results_out),
            start_new_session=True,
        )
        for fd in (settings_in, results_out, noise_out):
            os.close(fd)
        with os.fdopen(settings_out, "wb") as file, contextlib.suppress(BrokenPipeError):
            wanted = dict(self.settings, done=sorted(self.done), broken=self.broken)
            wanted["mark"] = mark.decode()
            file.write(json.dumps(wanted).encode())
        self.since = time.monotonic()
        why = "ended"
        buffer = b""
        open_fds = {results_in, noise_in}
        ended_at: float | None = None
        while open_fds:
            # Asked before the pipes are: what a child wrote before it ended is then in them.
            ended = process.poll() is not None
            ready, _, _ = select.select(list(open_fds), [], [], 0.05)
            for fd in ready:
                data = os.read(fd, 1 << 16)
                if not data:
                    open_fds.discard(fd)
                elif fd == noise_in:
                    noise.add(data)
                else:
                    *lines, buffer = (buffer + data).split(b"\n")
                    for line in lines:
                        self.line(line, mark)
            if not ready:
                self.stream.flush()
            now = time.monotonic()
            if ended:
                ended_at = ended_at or now
                if not ready or now - ended_at > 1:
                    break
            elif why == "ended":
                why = self.watch(process, now, noise)
        self.kill_group(process)
        for fd in (results_in, noise_in):
            os.close(fd)
        return process.wait(), why

    def watch(self, process: subprocess.Popen[bytes], now: float, noise: Noise) -> str:
        """Nudge a test that takes too long; kill a process that does not react."""
        limit = self.settings["per_test"]
        at = self.running or self.collecting
        if self.running is None:
            limit *= COLLECT_FACTOR
        over = now - self.since - limit
        if now > self.deadline:
            why = "deadline"
        elif self.finished is not None and now - self.since > EXIT_SECONDS:
            why = "slow exit"
        elif at is None or over < NUDGE_EVERY * self.nudged:
            return "ended"
        elif self.nudged < NUDGES:
            self.nudged += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, NUDGE)
            return "ended"
        else:
            why = "hung"
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, DUMP)
        time.sleep(0.1)
        self.kill_group(process)
        return why

    @staticmethod
    def kill_group(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def line(self, line: bytes, mark: bytes) -> None:
        """Take a record of the reporter's: its mark is a secret of this child's."""
        if line.startswith(mark):
            self.record(json.loads(line[len(mark) :]))
        elif not self.forged:
            self.forged = True
            what, by = "a record of results", "code under test"
            self.stream.put({"t": "patched", "what": what, "how": "written", "by": by})

    def record(self, record: dict[str, Any]) -> None:
        """Follow what the child does, and pass its records on."""
        kind = record["t"]
        if kind == "start":
            self.running, self.collecting = record["id"], None
        elif kind == "end":
            self.done.add(record["id"])
            self.running = None
        elif kind == "collecting":
            self.collecting = record["path"]
        elif kind == "collected":
            self.collecting = None
            self.collected = self.collected or record["ids"]
        elif kind == "finish":
            self.finished = record["exit"]
        self.since, self.nudged = time.monotonic(), 0
        if kind != "collecting":
            self.stream.put(record)


if __name__ == "__main__":
    Supervisor(json.load(sys.stdin)).main()
