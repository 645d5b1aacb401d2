"""The local model behind an endpoint of the OpenAI protocol: llama.cpp's own server."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from policies.base import PolicyError
from policies.cores import default_threads
from policies.hub.store import ModelFile
from policies.llamaserver import engine_params, load_engine, start_engine

SLOTS = 2
"""Requests answered at a time; further ones wait."""


class Address:
    """Where to listen. `host` is as the user wrote it, `numeric` what it resolves to."""

    def __init__(self, host: str, port: int) -> None:
        """Resolve `host` and see that nothing listens there yet. Raises PolicyError."""
        self.host, self.port = host, port
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise PolicyError(
                f"{host!r} is no address of this machine ({error}): use 127.0.0.1, or 0.0.0.0 "
                "for all of its addresses."
            ) from error
        family, _, _, _, place = found[0]
        self.numeric = str(place[0])
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                probe.listen(1)
        except OSError as error:
            raise PolicyError(
                f"cannot listen at {host} port {port}: {os.strerror(error.errno or 0)}. Name "
                "another port (0: any that is free), or an address of this machine."
            ) from error

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.numeric.partition("%")[0]).is_loopback


class Endpoint:
    """A model that is served until `close`, to several clients at a time.

    Unlike `LlamaCppPolicy` it waits for no other process that generates on this machine.
    """

    def __init__(
        self,
        model: ModelFile,
        address: Address,
        *,
        api_key: str | None = None,
        context_tokens: int,
        threads: int | None = None,
        adapter: Path | None = None,
    ) -> None:
        """Load `model`, with `adapter` (a LoRA in GGUF form) if one is given, and listen.

        `context_tokens` bounds prompt and answer of one request, of which SLOTS run at a
        time. Without `api_key`, anybody who reaches the address may ask. Raises PolicyError.
        """
        xllamacpp = load_engine()
        params = engine_params(
            xllamacpp,
            model.path,
            SLOTS * context_tokens,
            SLOTS,
            threads or default_threads(),
            adapter,
        )
        params.hostnames = [address.numeric]
        params.port = address.port
        params.model_alias = {model.name}
        params.api_keys = [api_key] if api_key else []
        params.endpoint_slots = False
        # Pages of the web must not use the model through the user's browser.
        params.cors_origins = "localhost"
        self.model = model.name
        self._server: Any = start_engine(xllamacpp, params)
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.url = f"http://{host}:{urlsplit(self._server.listening_address).port}/v1"

    def close(self) -> None:
        """Stop listening and free the memory, once running requests are answered.

        Safe to call twice.
        """
        self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
