"""Runs for a server: each in a process that ends when its caller does not want it any more."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from agent.result import Result
from agent.status import AgentError, EnvironmentFailure

STOP_SECONDS = 30.0
MAX_LINE_BYTES = 256 * 1024 * 1024

OnProgress = Callable[[str], Awaitable[None]]


async def run(order: Mapping[str, Any], on_progress: OnProgress) -> Result:
    """Carry out an order of `agent.mcp.worker`; `on_progress` gets a line for each step.

    When it is cancelled, the process has cleaned up after itself before this returns. Raises
    AgentError when the run fails, EnvironmentFailure when its process dies.
    """
    # -P: nothing is imported from the working directory, which may be a stranger's repository.
    process = await anyio.open_process(
        [sys.executable, "-P", "-m", "agent.mcp.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
        start_new_session=True,
    )
    try:
        answer = await _exchange(process, order, on_progress)
    except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError) as error:
        raise EnvironmentFailure(
            "the process of the run ended before it had an answer",
            "Its last words are on the server's standard error. Try again.",
        ) from error
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)
    if "error" in answer:
        raise AgentError(answer["error"], answer["hint"])
    return Result.model_validate(answer["result"])


async def _exchange(
    process: Process, order: Mapping[str, Any], on_progress: OnProgress
) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.send(json.dumps(order).encode() + b"\n")
    lines = BufferedByteReceiveStream(process.stdout)
    while True:
        said: dict[str, Any] = json.loads(await lines.receive_until(b"\n", MAX_LINE_BYTES))
        if "progress" not in said:
            return said
        await on_progress(said["progress"])


async def _stop(process: Process) -> None:
    """End the process: by SIGTERM, which it takes as Ctrl-C, at last by force."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with anyio.move_on_after(STOP_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
    await process.aclose()
