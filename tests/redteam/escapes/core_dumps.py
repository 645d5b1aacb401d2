"""Leave a core file, or have the host's handler of core dumps started."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import resource
limit = resource.getrlimit(resource.RLIMIT_CORE)
print(limit)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
assert resource.getrlimit(resource.RLIMIT_CORE) == limit
assert resource.prlimit(0, resource.RLIMIT_CORE) == limit
try:
    print("told", resource.prlimit(0, resource.RLIMIT_CORE, (0, 0)))
except PermissionError:
    pass
if not os.fork():
    os.abort()
print(os.WCOREDUMP(os.wait()[1]), os.listdir("/workspace"))
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.exit_code == 0, result
    limit, dumped = result.stdout.splitlines()
    assert limit in (b"(1, 1)", b"(0, 0)")
    assert dumped.startswith(b"False")
    assert b"core" not in dumped
