"""Every limit binds, and the sandbox works on afterwards."""

from __future__ import annotations

import dataclasses
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.conftest import LIMITS, Opener
from tools.sandbox.base import MIB, Sandbox
from tools.sandbox.inside.memory import unnamed


def works(sandbox: Sandbox) -> bool:
    return sandbox.run(["echo", "fine"]).stdout == b"fine\n"


def test_output_is_cut_and_counted(sandbox: Sandbox) -> None:
    result = sandbox.run(["head", "-c", "1000000", "/dev/zero"])
    assert len(result.stdout) == LIMITS.output_bytes
    assert result.cut == 1_000_000 - LIMITS.output_bytes
    assert result.killed_by is None


def test_memory_of_one_process(sandbox: Sandbox) -> None:
    script = "held = []\nwhile True: held.append(b'x' * (8 << 20))"
    result = sandbox.run([sandbox.python, "-c", script])
    assert result.killed_by == "memory" or b"MemoryError" in result.stderr
    assert works(sandbox)


SHARED = """
import mmap, os, sys, time
def fill():
    for _ in range(len(held) >> 20): held.write(b"x" * (1 << 20))
def look(): sum(held[at] for at in range(0, len(held), mmap.PAGESIZE))
"""


@pytest.mark.parametrize(
    ("script", "killed"),
    [
        ("held = mmap.mmap(-1, 400 << 20); fill(); time.sleep(90)", True),
        (
            "for _ in range(8):\n"
            "    if not os.fork():\n"
            "        held = mmap.mmap(-1, 80 << 20); fill(); time.sleep(90)\n"
            "time.sleep(90)",
            True,
        ),
        (
            "held = mmap.mmap(-1, 100 << 20); fill()\n"
            "for _ in range(4):\n"
            "    if not os.fork(): look(); time.sleep(1); os._exit(0)\n"
            "for _ in range(4): os.wait()",
            False,
        ),
    ],
    ids=["one", "several", "the same in several"],
)
def test_shared_memory(sandbox: Sandbox, script: str, killed: bool) -> None:
    result = sandbox.run([sandbox.python, "-c", SHARED + script], timeout=60)
    assert result.killed_by == ("memory" if killed else None), result
    assert works(sandbox)


def test_memory_that_others_take_kills_nobody(sandbox: Sandbox) -> None:
    script = "import mmap, time; held = mmap.mmap(-1, 1 << 20); held.write(b'x'); time.sleep(3)"
    with ThreadPoolExecutor(1) as pool, open(os.memfd_create("others"), "wb") as others:
        running = pool.submit(sandbox.run, [sandbox.python, "-c", script])
        time.sleep(1)
        for _ in range(300):
            others.write(b"x" * MIB)
        result = running.result()
    assert result.exit_code == 0, result
    assert result.killed_by is None


def test_shared_memory_is_found_by_every_name() -> None:
    lines = [
        b"7f00-8f00 rw-s 00000000 00:01 7 /dev/zero (deleted)\n",
        b"9f00-af00 rw-s 00000000 00:01 7 /dev/zero (deleted)\n",
        b"bf00-cf00 rw-s 00000000 00:01 8 [anon_shmem:a name]\n",
        b"df00-ef00 rw-p 00000000 00:00 0 [anon:a name]\n",
        b"ff00-10f00 rw-p 00000000 00:00 0\n",
    ]
    assert unnamed(lines) == {b"7": 0x2000, b"8": 0x1000}


def test_timeout_is_capped_by_the_limits(opener: Opener) -> None:
    sandbox = opener(limits=dataclasses.replace(LIMITS, wall_seconds=0.5))
    result = sandbox.run(["sleep", "60"], timeout=100)
    assert result.killed_by == "timeout"
    assert result.seconds < 10
