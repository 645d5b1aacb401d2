"""The MCP server: tools `solve` and `verify` for any editor, over standard input and output.

The signatures of the tools are what clients see; the SDK reads them when `build` runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context, ListRoots, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ListRootsResult, TextContent, ToolAnnotations
from pydantic import Field

from agent import __version__
from agent.mcp import places
from agent.mcp.answer import Answer, answer_of, sendable, structured, told
from agent.mcp.runs import run
from agent.status import AgentError

INSTRUCTIONS = (
    "Apprentice fixes bugs in git repositories on this machine and verifies every fix in a fresh "
    "sandbox. `solve` takes minutes; it changes no file unless `apply` is true. Only a result "
    "whose `verified` is true is a fix. `verify` judges a patch that you have made."
)


@dataclass(frozen=True)
class Desk:
    """What calls share: settings of the user's, the folders, and that runs come one at a time."""

    options: dict[str, Any]
    seconds: float
    folders: tuple[Path, ...]
    strict: bool
    turn: anyio.Lock = field(default_factory=anyio.Lock)


async def client_roots(context: Context) -> ListRootsResult | ListRoots | None:
    """The roots of a client that has them; None of one that has not."""
    capabilities = context.client_capabilities
    if capabilities is None or capabilities.roots is None:
        return None
    return ListRoots()


Roots = Annotated[ListRootsResult | None, Resolve(client_roots)]
Repository = Annotated[
    str, Field(description="The repository: a folder in it. Default: the folder that is open.")
]
Tests = Annotated[
    list[str], Field(description="Ids of failing tests to turn green, as tests/test_x.py::test_y.")
]
TestCommand = Annotated[
    str | None, Field(description="How the tests are run. Default: detected.", max_length=1000)
]
Output = Annotated[CallToolResult, Answer]


def build(
    options: dict[str, Any], seconds: float, roots: Sequence[Path], working: Path
) -> MCPServer:
    """The server.

    `options` are those of `agent.solve`; a client may ask for `seconds` at most. Raises UsageError
    on a bad root.
    """
    desk = Desk(options, seconds, places.start_folders(roots, working), strict=bool(roots))
    server = MCPServer(
        "apprentice", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING"
    )

    @server.tool(title="Fix an issue", annotations=ToolAnnotations(open_world_hint=False))
    async def solve(
        context: Context,
        roots: Roots,
        issue: Annotated[str, Field(description="What is wrong, as in a bug report.")],
        repository: Repository = "",
        tests: Tests = [],  # noqa: B006
        test_command: TestCommand = None,
        timeout: Annotated[
            float | None, Field(description="Seconds at most, if less than usual.", gt=0)
        ] = None,
        apply: Annotated[
            bool, Field(description="Write a verified fix onto the files. Default: only return it.")
        ] = False,
    ) -> Output:
        """Find a fix for an issue in a git repository and verify it against its tests.

        Returns the patch; writes nothing unless `apply` is true and the fix is verified. Best on
        bugs that a failing test shows. Takes minutes.
        """
        order = {"issue": issue, "apply": apply, "tests": tests}
        return await _call(desk, context, roots, repository, test_command, timeout, order)

    @server.tool(
        title="Verify a patch",
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )
    async def verify(
        context: Context,
        roots: Roots,
        patch: Annotated[str, Field(description="A unified diff, as `git diff` prints it.")],
        repository: Repository = "",
        tests: Tests = [],  # noqa: B006
        test_command: TestCommand = None,
    ) -> Output:
        """Judge a patch: whether failing tests pass with it, none breaks, and none is tricked.

        Runs in a fresh sandbox on a copy of the files as they are, and writes nothing.
        """
        order = {"patch": patch, "tests": tests}
        return await _call(desk, context, roots, repository, test_command, None, order)

    return server


async def _call(
    desk: Desk,
    context: Context,
    roots: ListRootsResult | None,
    repository: str,
    test_command: str | None,
    timeout: float | None,
    order: dict[str, Any],
) -> CallToolResult:
    steps = 0

    async def say(text: str) -> None:
        nonlocal steps
        steps += 1
        await context.report_progress(steps, message=text)

    try:
        uris = [str(root.uri) for root in roots.roots] if roots else []
        client = places.client_folders(uris) if roots else None
        repo = await anyio.to_thread.run_sync(
            places.choose, repository, desk.folders, client, desk.strict
        )
        options = dict(desk.options)
        if test_command:
            options["test_command"] = test_command
        if timeout is not None:
            options["timeout"] = min(timeout, desk.seconds)
        if desk.turn.locked():
            await say("waiting for another run to end")
        async with desk.turn:
            result = await run({"repo": str(repo), "options": options, **order}, say)
    except AgentError as error:
        text = f"{error}\nNext: {error.hint}" if error.hint else str(error)
        raise ToolError(sendable(text)) from error
    answer = answer_of(result)
    return CallToolResult(
        content=[TextContent(type="text", text=sendable(told(answer)))],
        structured_content=structured(answer),
    )


def serve(options: dict[str, Any], seconds: float, roots: Sequence[Path], working: Path) -> None:
    """Serve until the client closes the connection; see `build`."""
    server = build(options, seconds, roots, working)
    try:
        server.run("stdio")
    except* BrokenPipeError:
        pass  # The client has gone.
