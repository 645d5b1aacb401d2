"""The tool that runs a shell command in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from tools.base import Arguments, Observation, Tool, ToolError, capped
from tools.sandbox.base import KilledBy, Result, Sandbox

OUTPUT_LIMIT = 8_000
TIMEOUT = 60.0

_ENDS: Mapping[KilledBy, str] = {
    "timeout": "killed: it ran too long",
    "memory": "killed: it took too much memory",
    "output": "killed: it wrote too much",
    "cpu": "killed: it took too much processor time",
    "processes": "killed: it started too many processes",
}


class Shell(Arguments):
    """Arguments of shell."""

    command: str = Field(description="command line for sh, run in the repository")


def describe(result: Result, limit: int = OUTPUT_LIMIT) -> Observation:
    """Exit code and capped output of a command."""
    out, err = (d.decode("utf-8", "replace").strip("\n") for d in (result.stdout, result.stderr))
    head = f"exit code {result.exit_code} after {result.seconds:.1f} s"
    if result.killed_by:
        head = f"{_ENDS[result.killed_by]} ({result.seconds:.1f} s)"
    if result.cut:
        head += f"; {result.cut} bytes of output were dropped"
    parts = [part for part in (out, f"[stderr]\n{err}" if err else "") if part]
    text, cut = capped("\n".join(parts) or "(no output)", limit)
    ok = result.exit_code == 0 and not result.killed_by
    return Observation(f"{head}\n{text}", ok=ok, cut=cut + result.cut)


def _shell(sandbox: Sandbox, arguments: Shell) -> Observation:
    command = arguments.command.strip()
    if not command or "\0" in command:
        raise ToolError("give a command line")
    return describe(sandbox.run(["sh", "-c", command], timeout=TIMEOUT))


SHELL = Tool("shell", "Run a shell command in the repository.", Shell, _shell)
