"""`agent mcp`: the tools for editors and other agents."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.errors import reported
from agent.status import EnvironmentFailure


def mcp(
    root: Annotated[
        list[Path] | None,
        typer.Option(
            help="Only repositories in this folder (repeatable); default: the client's roots, else "
            "the working directory."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model; see `agent models list`.")] = None,
    sandbox: Annotated[str | None, typer.Option(help="auto, docker, or bubblewrap.")] = None,
    image: Annotated[str | None, typer.Option(help="A docker image for the sandbox.")] = None,
    env: Annotated[
        str | None, typer.Option(help="The virtual environment that the tests need.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="Attempts at most.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Tokens of a run at most.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds of a run at most.")] = None,
    test_timeout: Annotated[float | None, typer.Option(help="Seconds for a test run.")] = None,
) -> None:
    """Serve the tools `solve` and `verify` over standard input and output (MCP).

    An editor starts this command; see docs/editors.md. Runs come one at a time. A client cannot
    choose the model, the sandbox or the environment: you do, here.
    """
    with reported():
        if importlib.util.find_spec("mcp") is None:
            raise EnvironmentFailure(
                "the MCP SDK is not installed", "Run `pip install 'apprentice-agent[mcp]'`."
            )
        from agent.config import load_settings
        from agent.mcp.server import serve

        options = {
            "model": model,
            "sandbox": sandbox,
            "image": image,
            "environment": str(Path(env).absolute()) if env else None,
            "samples": samples,
            "budget_tokens": budget_tokens,
            "timeout": timeout,
            "test_timeout": test_timeout,
        }
        settings = load_settings(None, options)
        serve(options, settings.timeout, root or [], Path.cwd())
