"""Leave the process group and the session with two forks, and live on after the command."""

from __future__ import annotations

from tests.redteam.escapes import Host, alive
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import signal
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork():
    time.sleep(0.3)
    sys.exit(0)
os.setsid()
if os.fork():
    os._exit(0)
sys.stdout.write("daemon\n")
sys.stdout.flush()
time.sleep(3)
with open("/workspace/late", "w") as file:
    file.write("rewritten")
time.sleep(600)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert (result.exit_code, result.killed_by) == (0, None)
    assert b"daemon" in result.stdout
    assert alive(sandbox) == []
    slept = sandbox.run(["sh", "-c", "sleep 600 & sleep 600 & echo done"])
    assert slept.seconds < 10
    assert alive(sandbox) == []
    sandbox.run(["sleep", "4"])
    assert b"late" not in sandbox.run(["ls"]).stdout
