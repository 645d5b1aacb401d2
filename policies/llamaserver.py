"""llama.cpp's server inside this process, and the HTTP client that speaks to it or to another's."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from policies.base import ContextOverflow, PolicyError

_POLL_SECONDS = 0.25
_SETTLE_SECONDS = 1.3
_PATIENCE_SECONDS = 30.0
_CACHE_MIB = 2048
_SPIN_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
_SPINS = "3000"


def load_engine() -> Any:
    """xllamacpp, its threads told to give way soon when another process wants a core.

    By default OpenMP spins for milliseconds at each of the thousands of barriers of a
    token: beside one busy process on two cores, that left 2 to 12 tokens a second of 38.
    With 3000 spins it left 10, and alone no loss stood out from the scatter between runs;
    that is one machine, one model and one library of OpenMP. The variable is read when
    OpenMP is loaded; a value that the user has set is kept.
    """
    spin = not any(name in os.environ for name in _SPIN_VARIABLES)
    if spin:
        os.environ[_SPIN_VARIABLES[0]] = _SPINS
    try:
        import xllamacpp
    except ImportError as error:
        raise PolicyError(
            "the local engine cannot be loaded: install it with `pip install xllamacpp`."
        ) from error
    finally:
        if spin:
            del os.environ[_SPIN_VARIABLES[0]]
    return xllamacpp


def engine_params(
    xllamacpp: Any,
    model: Path,
    cells: int,
    parallel: int,
    threads: int,
    adapter: Path | None = None,
) -> Any:
    """What every server of ours starts with: silent, at a free port of 127.0.0.1, caching prompts.

    `cells` tokens of context are shared by `parallel` sequences. `adapter` is a LoRA in GGUF form.
    """
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    params.verbosity = 0
    params.n_ctx = cells
    params.n_parallel = parallel
    params.fit_params = False
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = _CACHE_MIB
    if adapter is not None:
        # The engine's second-level cache does not tell an adapter's state from the base's.
        params.cache_ram_mib = 0
        params.cache_idle_slots = False
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path = str(adapter)
        lora.scale = 1.0
        params.lora_adapters = [lora]
    return params


def start_engine(xllamacpp: Any, params: Any) -> Any:
    """A server that answers when this returns; it ends when nothing refers to it any more.

    Raises PolicyError.
    """
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        adapters = "".join(f" with adapter {lora.path}" for lora in params.lora_adapters)
        raise PolicyError(
            f"llama.cpp could not load {params.model.path}{adapters} with {params.n_ctx} tokens "
            "of context: the file may be damaged or of an architecture that it does not know, the "
            "adapter made for another model, or memory short. Check the file, or ask for a "
            "smaller context."
        ) from error


class EngineGone(PolicyError):
    """The engine does not answer: it has ended, or is stuck."""


class LlamaClient:
    """What is said to an engine that listens on this machine.

    Answers are not streamed: llama.cpp sends no token ids for the first tokens of a
    character that spans several (emoji), and exact tokens matter here. A request is
    cancelled by closing its connection, which the engine notices within a second if
    nothing else asks it for results meanwhile; `post` after a cancellation waits for that.
    """

    def __init__(self, host: str, port: int | None, key: str, engine: object = True) -> None:
        """Speak to `host` and `port` with a secret key; `engine` is held until `close`."""
        self._host, self._port, self._key = host, port, key
        self._server: object = engine
        self._cancelled = 0.0

    @property
    def address(self) -> tuple[str, int, str]:
        """Host, port and key: all that another process needs to speak to the engine."""
        return self._host, self._port or 0, self._key

    def post(
        self, path: str, body: dict[str, Any], on_poll: Callable[[int], None] | None = None
    ) -> Any:
        """The parsed answer of `path` to `body`.

        `on_poll` is called about four times a second with the tokens written so far, over
        all sequences. KeyboardInterrupt, and any error in `on_poll`, cancels the request.
        Generation may take any time; any other answer is a PolicyError after 30 seconds.
        """
        self._settle()
        timeout = None if path == "/completion" else _PATIENCE_SECONDS
        begun = time.monotonic()
        with self._connection(timeout) as connection:
            written: dict[int, int] = {}
            try:
                self._request(connection, "POST", path, json.dumps(body))
                while not select.select([connection.sock], [], [], _POLL_SECONDS)[0]:
                    if timeout is not None and time.monotonic() - begun > timeout:
                        raise _no_answer(f"{path} took more than {timeout:.0f} s")
                    if on_poll is not None:
                        written |= self._written()
                        on_poll(sum(written.values()))
                status, raw = self._read(connection)
            except BaseException:
                self._cancelled = time.monotonic()
                raise
        return self._parse(status, raw)

    def render(self, messages: list[dict[str, Any]]) -> str:
        """The text of a conversation in the model's chat template, ready for the answer."""
        return str(self.post("/apply-template", {"messages": messages})["prompt"])

    def tokenize(self, text: str, special: bool = True) -> list[int]:
        """Token ids of `text`; `special` reads the names of control tokens as such."""
        if not text:
            return []
        body = {"content": text, "add_special": False, "parse_special": special}
        return [int(token) for token in self.post("/tokenize", body)["tokens"]]

    def detokenize(self, ids: list[int]) -> str:
        """The text of token `ids`, control tokens included."""
        return str(self.post("/detokenize", {"tokens": ids})["content"])

    def close(self) -> None:
        """Let go of the engine; one of this process ends and frees its memory.

        Safe to call twice.
        """
        self._server = None

    def answers(self) -> bool:
        """Whether the engine is there and knows the key."""
        try:
            self._slots()
        except (PolicyError, ValueError, TypeError):
            return False
        return True

    def _settle(self) -> None:
        if self._server is None:
            raise PolicyError("this model was closed: open the policy again.")
        patience = time.monotonic() + _PATIENCE_SECONDS
        while self._cancelled:
            if time.monotonic() > patience:
                raise _no_answer("it is still busy with a request that was cancelled")
            time.sleep(max(0.0, self._cancelled + _SETTLE_SECONDS - time.monotonic()))
            self._cancelled = time.monotonic() if self._slots_busy() else 0.0

    def _slots(self) -> list[dict[str, Any]]:
        with self._connection(_PATIENCE_SECONDS) as connection:
            self._request(connection, "GET", "/slots")
            return list(self._parse(*self._read(connection)))

    def _slots_busy(self) -> bool:
        return any(slot["is_processing"] for slot in self._slots())

    def _written(self) -> dict[int, int]:
        """Tokens that each sequence at work has written; none while a long prefill goes on."""
        try:
            slots = self._slots()
        except PolicyError:
            return {}
        return {
            int(slot["id"]): sum(int(state["n_decoded"]) for state in slot["next_token"])
            for slot in slots
            if slot["is_processing"] and slot.get("next_token")
        }

    @contextlib.contextmanager
    def _connection(self, timeout: float | None) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            yield connection
        finally:
            connection.close()

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: str | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise _no_answer(f"{path}: {error}") from error

    def _read(self, connection: http.client.HTTPConnection) -> tuple[int, bytes]:
        try:
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise _no_answer(f"it broke off: {error or type(error).__name__}") from error

    def _parse(self, status: int, raw: bytes) -> Any:
        answer = json.loads(raw)
        if status == 200:
            return answer
        error_body = answer.get("error", {}) if isinstance(answer, dict) else {}
        message = str(error_body.get("message", raw[:200]))
        if error_body.get("type") == "exceed_context_size_error":
            raise ContextOverflow(f"llama.cpp: {message}")
        raise PolicyError(f"llama.cpp refused the request: {message}")


class LlamaServer(LlamaClient):
    """An engine in this process, on 127.0.0.1, a free port and a secret key; it logs nothing."""

    def __init__(
        self,
        model: Path,
        cells: int,
        parallel: int,
        threads: int,
        adapter: Path | None = None,
    ) -> None:
        """Load `model` with room for `cells` tokens, shared by `parallel` sequences."""
        xllamacpp = load_engine()
        key = secrets.token_urlsafe(24)
        params = engine_params(xllamacpp, model, cells, parallel, threads, adapter)
        params.api_keys = [key]
        params.kv_unified = True
        engine = start_engine(xllamacpp, params)
        address = urlsplit(engine.listening_address)
        super().__init__(address.hostname or "127.0.0.1", address.port, key, engine)


def _no_answer(reason: str) -> EngineGone:
    return EngineGone(
        f"the local engine does not answer ({reason}): close this model and open it again; if "
        "that does not help, look for other processes that keep the cores or the memory busy."
    )
