"""Calls of the kernel that no command of a sandbox may make: a seccomp filter, put on before exec.

A second wall behind namespaces and users: what has often been a way out (mounts, tracing, BPF,
io_uring, keyrings, user namespaces), what reaches past namespaces (vsock, TIOCSTI), and memory
that belongs to no process (memfd, message queues, System V shared memory but for segments of a
page, with which databases lock their folders), which the limit on memory would not see. Numbers
are those of Linux's `syscall_64.tbl` and `unistd.h`. Machines other than x86-64 and arm64 have no
filter; there, and on kernels without seccomp, namespaces, users and limits are the only wall.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from errno import EAFNOSUPPORT, EINVAL, ENOSYS, EPERM
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Instruction = tuple[int, int, int, int]
    Program = list[Instruction]
else:
    Instruction, Program = tuple, list

LOAD, EQUAL, GREATER, AT_LEAST, ANY_OF, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, MACHINE, ARGUMENTS = 0, 4, 16
SET_SECCOMP, MODE_FILTER = 22, 2
X32 = 0x40000000
NEW_NAMESPACES = 0x7E020000
NEW_TIME = 0x80
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
NO_RANDOM_ADDRESSES, ASK = 0x0040000, 0xFFFFFFFF
LIMIT_CORE = 4
SMALL_SEGMENT = 1 << 12

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
FORBIDDEN = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "setns": (308, 268),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
}
ABSENT = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),
    "msgget": (68, 186),
    "semget": (64, 190),
}
CLONE, UNSHARE, SOCKET, IOCTL = (56, 220), (272, 97), (41, 198), (16, 29)
PERSONALITY, SHMGET = (135, 92), (29, 194)
SETRLIMIT, PRLIMIT = (160, 164), (302, 261)


def low(argument: int) -> Instruction:
    """Load the low half of an argument."""
    return LOAD, 0, 0, ARGUMENTS + 8 * argument


def high(argument: int) -> Instruction:
    """Load the high half of an argument."""
    return LOAD, 0, 0, ARGUMENTS + 8 * argument + 4


def fail(number: int) -> Instruction:
    """Let the call fail with an error; 0 makes it a success that does nothing."""
    return RETURN, 0, 0, ERROR | number


PASS: Instruction = (RETURN, 0, 0, ALLOW)


def only(argument: int, values: list[int], error: int) -> Program:
    """Let a call through if the low half of an argument is one of these values."""
    tests = [(EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [low(argument), *tests, fail(error), PASS]


def without(argument: int, bits: int) -> Program:
    """Let a call through if none of these bits is set in the low half of an argument."""
    return [low(argument), (ANY_OF, 0, 1, bits), fail(EPERM), PASS]


def rules() -> list[tuple[tuple[int, int | None], Program]]:
    """What is done with which call.

    clone3 hides its flags in memory: as the C library falls back to clone, it is absent. The limit
    on core files is 1, which keeps the host's handler from being started, unlike 0; so the wish to
    set another is granted without effect, and refused where the old one is to be told as well.
    """
    found = [(numbers, [fail(EPERM)]) for numbers in FORBIDDEN.values()]
    found += [(numbers, [fail(ENOSYS)]) for numbers in ABSENT.values()]
    families = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK]
    terminal = [low(1), (EQUAL, 1, 0, TIOCSTI), (EQUAL, 0, 1, TIOCLINUX), fail(EPERM), PASS]
    segment = [
        *(high(1), (EQUAL, 0, 2, 0)),
        *(low(1), (GREATER, 0, 1, SMALL_SEGMENT), fail(EINVAL), PASS),
    ]
    cores = [low(0), (EQUAL, 0, 1, LIMIT_CORE), fail(0), PASS]
    cores_of = [
        *(low(1), (EQUAL, 0, 10, LIMIT_CORE)),
        *(low(2), (EQUAL, 0, 2, 0), high(2), (EQUAL, 6, 0, 0)),
        *(low(3), (EQUAL, 0, 3, 0), high(3), (EQUAL, 0, 1, 0), fail(0), fail(EPERM), PASS),
    ]
    return [
        *found,
        (CLONE, without(0, NEW_NAMESPACES)),
        (UNSHARE, without(0, NEW_NAMESPACES | NEW_TIME)),
        (SOCKET, only(0, families, EAFNOSUPPORT)),
        (IOCTL, terminal),
        (PERSONALITY, only(0, [0, NO_RANDOM_ADDRESSES, ASK], EPERM)),
        (SHMGET, segment),
        (SETRLIMIT, cores),
        (PRLIMIT, cores_of),
    ]


def program(machine: str) -> bytes:
    """The filter in the kernel's form (`struct sock_filter`); empty for other machines.

    A call of another ABI of the machine (32 bits) ends the process, one of x32 is unknown.
    """
    if machine not in MACHINES or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return b""
    mark, column = MACHINES[machine]
    made: Program = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, mark), (RETURN, 0, 0, KILL)]
    made.append((LOAD, 0, 0, NUMBER))
    if machine == "x86_64":
        made += [(AT_LEAST, 0, 1, X32), fail(ENOSYS)]
    for numbers, body in rules():
        number = numbers[column]
        if number is not None:
            made += [(EQUAL, 0, len(body), number), *body]
    made.append(PASS)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in made)


def install(code: bytes) -> None:
    """Bind this process and all that it starts by a program, for good.

    It must have given up new privileges. Raises OSError where the kernel refuses.
    """

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    if code:
        what = Filter(len(code) // 8, code)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(SET_SECCOMP, MODE_FILTER, ctypes.byref(what), 0, 0):
            raise OSError(ctypes.get_errno(), "no filter of the kernel's calls")


def own_program() -> bytes:
    """The program for the machine that this process runs on."""
    return program(os.uname().machine)
