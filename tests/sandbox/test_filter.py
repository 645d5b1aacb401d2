"""The filter of the kernel's calls: what it decides on each machine, and what still works."""

from __future__ import annotations

import os
import shutil
import struct
from errno import EAFNOSUPPORT, EINVAL, ENOSYS, EPERM

import pytest

from tests.sandbox.conftest import Opener
from tools.sandbox.base import Limits
from tools.sandbox.inside.common import filters
from tools.sandbox.inside.filter import (
    ABSENT,
    ALLOW,
    ERROR,
    FORBIDDEN,
    KILL,
    MACHINES,
    program,
)

X86, ARM = 0xC000003E, 0xC00000B7
I386 = 0x40000003


def decide(code: bytes, mark: int, number: int, *arguments: int) -> int:
    """Run the program, as the kernel would, over a call."""
    given = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, mark, 0, *(a % (1 << 64) for a in given))
    steps = list(struct.iter_unpack("<HBBI", code))
    at = held = 0
    while True:
        kind, yes, no, value = steps[at]
        at += 1
        if kind == 0x06:
            return int(value)
        if kind == 0x20:
            held = struct.unpack_from("<I", data, value)[0]
            continue
        tests = {
            0x15: held == value,
            0x25: held > value,
            0x35: held >= value,
            0x45: bool(held & value),
        }
        at += yes if tests[kind] else no


@pytest.mark.parametrize("machine", MACHINES)
def test_named_calls_fail_and_others_pass(machine: str) -> None:
    code, (mark, column) = program(machine), MACHINES[machine]
    for table, error in ((FORBIDDEN, EPERM), (ABSENT, ENOSYS)):
        for name, numbers in table.items():
            if numbers[column] is not None:
                assert decide(code, mark, numbers[column]) == ERROR | error, name
    refused = {n[column] for n in (*FORBIDDEN.values(), *ABSENT.values())}
    passed = [n for n in range(470) if n not in refused and decide(code, mark, n) == ALLOW]
    assert len(passed) > 350


@pytest.mark.parametrize(
    ("call", "arguments", "decision"),
    [
        ("clone", [17], ALLOW),
        ("clone", [0x3D0F00], ALLOW),
        ("clone", [0x10000000 | 17], ERROR | EPERM),
        ("unshare", [0x200], ALLOW),
        ("unshare", [0x80], ERROR | EPERM),
        ("unshare", [0x20000], ERROR | EPERM),
        *(("socket", [family, 1], ALLOW) for family in (1, 2, 10, 16)),
        *(("socket", [family, 1], ERROR | EAFNOSUPPORT) for family in (17, 38, 40, 0)),
        ("ioctl", [0, 0x5412], ERROR | EPERM),
        ("ioctl", [0, 0x100005412], ERROR | EPERM),
        ("ioctl", [0, 0x541C], ERROR | EPERM),
        ("ioctl", [0, 0x5401], ALLOW),
        ("personality", [0xFFFFFFFF], ALLOW),
        ("personality", [0x0400000], ERROR | EPERM),
        ("shmget", [0, 4096], ALLOW),
        ("shmget", [0, 4097], ERROR | EINVAL),
        ("shmget", [0, 1 << 32], ERROR | EINVAL),
        ("setrlimit", [4, 1], ERROR),
        ("setrlimit", [7, 1], ALLOW),
        ("prlimit64", [0, 4, 0, 1], ALLOW),
        ("prlimit64", [0, 4, 1, 0], ERROR),
        ("prlimit64", [0, 4, 1 << 40, 0], ERROR),
        ("prlimit64", [0, 4, 1, 1], ERROR | EPERM),
        ("prlimit64", [0, 4, 1 << 40, 1 << 40], ERROR | EPERM),
        ("prlimit64", [0, 7, 1, 1], ALLOW),
        ("prlimit64", [0, 7, 1, 0], ALLOW),
    ],
)
def test_decisions_by_argument(call: str, arguments: list[int], decision: int) -> None:
    numbers = {
        "clone": (56, 220),
        "unshare": (272, 97),
        "socket": (41, 198),
        "ioctl": (16, 29),
        "personality": (135, 92),
        "shmget": (29, 194),
        "setrlimit": (160, 164),
        "prlimit64": (302, 261),
    }[call]
    assert decide(program("x86_64"), X86, numbers[0], *arguments) == decision
    assert decide(program("aarch64"), ARM, numbers[1], *arguments) == decision


def test_other_abis_and_machines() -> None:
    assert decide(program("x86_64"), I386, 20) == KILL
    assert decide(program("aarch64"), 0x40000028, 20) == KILL
    assert decide(program("x86_64"), X86, 0x40000000 | 39) == ERROR | ENOSYS
    assert program("riscv64") == b""


def test_a_program_that_the_kernel_refuses_is_noticed() -> None:
    assert filters(program(os.uname().machine))
    assert not filters(struct.pack("<HBBI", 0xFFFF, 0, 0, 0))
    assert not filters(b"")


HONEST = """
import asyncio, ctypes, mmap, multiprocessing, os, resource, socket, subprocess, sys, tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import shared_memory
if __name__ == "__main__":
    threads = [threading.Thread(target=os.getpid) for _ in range(8)]
    [t.start() for t in threads]; [t.join() for t in threads]
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-3])) == [3]
    held = shared_memory.SharedMemory(create=True, size=1 << 20)
    held.buf[0] = 1; held.close(); held.unlink()
    shared = mmap.mmap(-1, 1 << 20); shared.write(b"x" * 1000)
    with tempfile.TemporaryFile() as file:
        file.truncate(4096); mmap.mmap(file.fileno(), 4096).write(b"x")
    async def main():
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close(); server.close()
        made = await asyncio.create_subprocess_exec("true")
        assert await made.wait() == 0
    asyncio.run(main())
    socket.if_nameindex(); socket.getaddrinfo("localhost", 80)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    import pty; master, slave = pty.openpty(); os.get_terminal_size(slave)
    assert subprocess.run(["git", "log", "--oneline"], capture_output=True).returncode == 0
    print("fine")
"""


def test_honest_programs_work(opener: Opener) -> None:
    sandbox = opener(limits=Limits())
    assert sandbox.filtered
    sandbox.write("honest.py", HONEST.encode())
    result = sandbox.run([sandbox.python, "honest.py"])
    assert result.stdout == b"fine\n", result


@pytest.mark.parametrize(
    ("program", "script"),
    [
        ("gcc", "echo 'int main(void){return 0;}' > a.c && gcc -pthread a.c -o a && ./a"),
        ("node", 'node -e \'require("fs").readFile("a.py", (e, d) => process.exit(e ? 1 : 0))\''),
    ],
)
def test_honest_tools_work(opener: Opener, program: str, script: str) -> None:
    sandbox = opener(limits=Limits(disk_bytes=256 << 20))
    if sandbox.run(["which", program]).exit_code or not shutil.which(program):
        pytest.skip(f"there is no {program}")
    result = sandbox.run(["sh", "-c", script])
    assert result.exit_code == 0, result
