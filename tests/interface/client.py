"""An editor as far as the protocol goes: the SDK's own client, and `agent mcp` as its server."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, ListRootsResult, Root

from agent.mcp.answer import Answer
from tests.documents import conforms

KEPT = (
    "APPRENTICE_STRATEGIES",
    "APPRENTICE_HOME",
    "APPRENTICE_CONFIG",
    "APPRENTICE_MODELS",
    "TMPDIR",
    "PATH",
    "HOME",
)


@asynccontextmanager
async def editor(
    model: str, folder: Path, *more: str, mode: str = "legacy", roots: tuple[Path, ...] | None
) -> AsyncIterator[Client]:
    """A client whose server was started in `folder`; `roots` None: a client without roots."""
    words = ["-m", "agent", "mcp", "--model", model, "--sandbox", "bubblewrap"]
    server = StdioServerParameters(
        command=sys.executable,
        args=[*words, "--env", sys.prefix, *more],
        env={key: os.environ[key] for key in KEPT if key in os.environ},
        cwd=folder,
    )

    async def listed(_: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=path.as_uri()) for path in roots or ()])

    callback = None if roots is None else listed
    async with Client(server, mode=mode, list_roots_callback=callback) as client:
        yield client


def played(play: Callable[[], Awaitable[None]]) -> None:
    """Run a conversation on a loop of its own, in a thread: libraries may keep one in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(anyio.run, play).result()


def answer(result: CallToolResult) -> Answer:
    """What a tool said, checked against its published schema."""
    assert not result.is_error, result.content
    assert result.structured_content is not None
    told = conforms(dict(result.structured_content))
    return Answer.model_validate(told)


def refusal(result: CallToolResult) -> str:
    """What a tool said of an error."""
    assert result.is_error
    return "".join(part.text for part in result.content if part.type == "text")


def runs() -> list[psutil.Process]:
    """The processes of runs that are ours: those that have our APPRENTICE_HOME."""
    found = []
    for process in psutil.process_iter():
        try:
            words, env = process.cmdline(), process.environ()
        except psutil.Error:
            continue
        ours = env.get("APPRENTICE_HOME") == os.environ["APPRENTICE_HOME"]
        if "agent.mcp.worker" in words and ours:
            found.append(process)
    return found
