"""Write the kernel's settings."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
def write(path, text="1"):
    with open(path, "w") as file:
        file.write(text)
for path in ("kernel/core_pattern", "kernel/modprobe", "kernel/hostname",
    "kernel/randomize_va_space", "vm/drop_caches",
             "vm/overcommit_memory", "net/ipv4/ip_forward", "fs/file-max", "kernel/ns_last_pid",
             "kernel/yama/ptrace_scope"):
    attempt(path, write, "/proc/sys/" + path)
for path in ("/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/proc/self/uid_map",
    "/proc/self/gid_map",
             "/proc/acpi/x", "/proc/mtrr", "/sys/power/state", "/sys/kernel/uevent_helper",
             "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/escape/x"):
    attempt(path, write, path)
attempt("oom", write, "/proc/self/oom_score_adj", "-1000")
attempt("cgroup", os.mkdir, "/sys/fs/cgroup/escape")
attempt("dmesg", call, 103, 116, 3, 0, 0)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 24)
