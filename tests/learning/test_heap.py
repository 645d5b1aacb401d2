"""Freed memory goes back to the system."""

import platform
import subprocess
import sys

import pytest

BLOCKS = """
import ctypes, sys
from policies.learning.heap import give_back_freed

if sys.argv[1] == "given back":
    give_back_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096


def block(size):
    at = libc.malloc(ctypes.c_size_t(size))
    ctypes.memset(at, 1, size)
    return at


libc.free(block(16 << 20))
before = resident()
blocks = [(block(4 << 20), block(1 << 16)) for _ in range(32)]
for large, _ in blocks:
    libc.free(large)
print((resident() - before) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc")
@pytest.mark.parametrize(("how", "kept"), [("given back", False), ("as it is", True)])
def test_what_is_freed_between_small_blocks_is_given_back(how, kept):
    done = subprocess.run([sys.executable, "-c", BLOCKS, how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (int(done.stdout) > 64) == kept
