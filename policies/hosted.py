"""Hosted models, and any server that speaks the OpenAI protocol, through litellm."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from policies.base import (
    MALFORMED,
    Completion,
    Constraint,
    ContextOverflow,
    Message,
    OnProgress,
    PolicyError,
    Progress,
    Sampling,
    ToolCall,
    Usage,
)

DEFAULT_CONTEXT = 32_768
KEY_VARIABLE = "APPRENTICE_API_KEY"

_OVERFLOW = re.compile(r"context[ _-]?(size|length|window)", re.IGNORECASE)
_MAX_PAUSE = 30.0
_BYTES_PER_TOKEN = 3.5
_TOKENS_PER_MESSAGE = 4
_CACHING_PROVIDERS = ("anthropic", "bedrock", "vertex_ai")


def load_litellm() -> Any:
    """litellm, imported so that it neither calls home, nor prints, nor reads a `.env` file.

    A `.env` in the working directory belongs to the repository at hand: it must not choose
    where keys are sent.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.disable_hf_tokenizer_download = True
    return litellm


class LiteLLMPolicy:
    """A model behind a provider's API: `provider/model`, with tool calls where it has them.

    Prompts, counts and costs are the provider's business: `count_tokens` is an estimate, and
    no token ids or log-probabilities come back.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        context_tokens: int | None = None,
        retries: int = 2,
        timeout: float = 600.0,
    ) -> None:
        """`model` as litellm names it; `api_base` is the URL of a server of one's own.

        Such a server gets the key in APPRENTICE_API_KEY, if any, and no other key. `timeout`
        is in seconds for one request. Raises PolicyError for an unknown provider or when a
        key is missing.
        """
        self._litellm = load_litellm()
        self._model = model
        self._base = api_base
        self._shown_base = _without_credentials(api_base or "")
        self._retries = retries
        self._timeout = timeout
        try:
            _, self._provider, _, _ = self._litellm.get_llm_provider(model, api_base=api_base)
        except self._litellm.exceptions.BadRequestError as error:
            raise PolicyError(
                f"litellm knows no provider for {model!r}: write PROVIDER/MODEL, such as "
                "anthropic/claude-sonnet-4-5, or openai/NAME@http://HOST:PORT/v1 for a server."
            ) from error
        if api_base is None:
            missing = self._litellm.validate_environment(model).get("missing_keys") or []
            if missing:
                raise PolicyError(f"{model} needs a key: set {' and '.join(missing)}.")
        info = self._info()
        self._context = (
            context_tokens or info.get("max_input_tokens") or info.get("max_tokens")
        ) or DEFAULT_CONTEXT
        supported = self._litellm.get_supported_openai_params(model) or []
        self._many = "n" in supported
        self._tools = api_base is not None or "tools" in supported

    @property
    def version(self) -> str:
        """The model's name, with its server where one was given, but for what may be secret."""
        return f"{self._model}@{self._shown_base}" if self._shown_base else self._model

    @property
    def context_tokens(self) -> int:
        """As given, else as litellm knows it, else 32768."""
        return int(self._context)

    @property
    def calls_tools(self) -> bool:
        """True where litellm says so; a server of one's own is taken to."""
        return self._tools

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate: a token for each 3.5 bytes, and four for each message."""
        size = sum(len(json.dumps(message.as_chat()).encode()) for message in messages)
        return int(size / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * len(messages)

    def sample(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        constraint: Constraint | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        """Draw `n` completions, in one request where the provider can.

        Progress is reported after each request. `Usage.prompt` and `Usage.cached` are those of
        the whole request on its first completion and 0 on the others, so that sums are right.
        """
        if n < 1:
            raise PolicyError(f"cannot draw {n} completions: ask for at least one.")
        begun = time.monotonic()
        drawn: list[Completion] = []
        while len(drawn) < n:
            wanted = n - len(drawn) if self._many else 1
            request = self._request(messages, wanted, sampling, constraint, len(drawn))
            started = time.monotonic()
            response = self._ask(request)
            fresh = self._read(response, time.monotonic() - started)
            if not fresh:
                raise PolicyError(f"{self.version} answered without a choice: try again.")
            self._many = self._many and len(fresh) >= wanted
            drawn += fresh[:wanted]
            if on_progress is not None:
                count = sum(completion.usage.completion for completion in drawn)
                seconds = time.monotonic() - begun
                on_progress(Progress(completion_tokens=count, seconds=seconds))
        return drawn

    def close(self) -> None:
        """Nothing is held."""

    def _info(self) -> dict[str, Any]:
        try:
            return dict(self._litellm.get_model_info(self._model))
        except Exception:  # litellm raises a bare Exception for a model without an entry
            return {}

    def _request(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        constraint: Constraint | None,
        drawn: int,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [message.as_chat() for message in messages],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "max_retries": 0,
            "timeout": self._timeout,
        }
        # Claude's models refuse a request that names both.
        if sampling.top_p < 1.0 and "claude" not in self._model.lower():
            request["top_p"] = sampling.top_p
        if n > 1:
            request["n"] = n
        if sampling.stop:
            request["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            request["seed"] = sampling.seed + drawn
        if constraint is not None and constraint.tools:
            request["tools"] = [_as_tool(tool) for tool in constraint.tools]
            # Else litellm looks for tools of MCP servers, with a package that it does not bring.
            request["_skip_mcp_handler"] = True
        if self._base is not None:
            request["api_base"] = self._base
            request["api_key"] = os.environ.get(KEY_VARIABLE) or "none"
        if self._provider in _CACHING_PROVIDERS:
            request["cache_control_injection_points"] = [
                {"location": "message", "role": "system"},
                {"location": "message", "index": -1},
            ]
        return request

    def _ask(self, request: dict[str, Any]) -> Any:
        errors = self._litellm.exceptions
        where = self._shown_base or f"the provider {self._provider}"
        try:
            return self._retry(request)
        except errors.ContextWindowExceededError as error:
            raise ContextOverflow(f"{self.version}: {_line(error)}") from error
        except errors.AuthenticationError as error:
            keys = self._litellm.validate_environment(self._model).get("keys_in_environment")
            hint = KEY_VARIABLE if self._base or keys is None else "the provider's API key"
            raise PolicyError(
                f"{where} refused the key for {self._model}: check {hint}. ({_line(error)})"
            ) from error
        except (errors.APIConnectionError, errors.Timeout) as error:
            raise PolicyError(
                f"cannot reach {where} for {self._model}: check that the server runs and the "
                f"network is up. ({_line(error)})"
            ) from error
        except errors.InternalServerError as error:
            if "onnection" in str(error):
                raise PolicyError(
                    f"cannot reach {where} for {self._model}: check that the server runs and "
                    f"the network is up. ({_line(error)})"
                ) from error
            raise PolicyError(f"{where} failed: {_line(error)}. Try again later.") from error
        except errors.NotFoundError as error:
            raise PolicyError(
                f"{where} has no model {self._model}: check its name. ({_line(error)})"
            ) from error
        except errors.RateLimitError as error:
            raise PolicyError(
                f"{where} limits the rate, or the quota is used up: wait, or use another model. "
                f"({_line(error)})"
            ) from error
        except Exception as error:  # litellm has more kinds than it names
            if _OVERFLOW.search(str(error)):
                raise ContextOverflow(f"{self.version}: {_line(error)}") from error
            raise PolicyError(f"{where} refused the request: {_line(error)}") from error

    def _retry(self, request: dict[str, Any]) -> Any:
        """litellm's answer, asked again after failures that pass (its own way needs tenacity)."""
        errors = self._litellm.exceptions
        passing = (errors.RateLimitError, errors.InternalServerError, errors.APIConnectionError)
        for attempt in range(self._retries):
            try:
                return self._litellm.completion(**request)
            except (*passing, errors.ServiceUnavailableError) as error:
                time.sleep(_pause(error, attempt))
        return self._litellm.completion(**request)

    def _read(self, response: Any, seconds: float) -> list[Completion]:
        usage = getattr(response, "usage", None)
        details = getattr(usage, "prompt_tokens_details", None)
        written = int(getattr(usage, "completion_tokens", 0) or 0)
        choices = list(response.choices)
        drawn = []
        for index, choice in enumerate(choices):
            calls = tuple(_call(raw) for raw in choice.message.tool_calls or ())
            # One total is reported for all choices: it is split evenly over them.
            share = written // len(choices) + (index < written % len(choices))
            drawn.append(
                Completion(
                    text=choice.message.content or "",
                    tool_calls=calls,
                    finish_reason=(
                        "tool_calls"
                        if calls
                        else "length"
                        if choice.finish_reason == "length"
                        else "stop"
                    ),
                    usage=Usage(
                        prompt=0 if index else int(getattr(usage, "prompt_tokens", 0) or 0),
                        cached=0 if index else int(getattr(details, "cached_tokens", 0) or 0),
                        completion=share,
                    ),
                    seconds=seconds,
                    policy_version=self.version,
                )
            )
        return drawn


def _without_credentials(url: str) -> str:
    """The URL without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _as_tool(tool: dict[str, Any]) -> dict[str, Any]:
    return tool if tool.get("type") == "function" else {"type": "function", "function": tool}


def _call(raw: Any) -> ToolCall:
    text = raw.function.arguments or "{}"
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {MALFORMED: text}
    return ToolCall(id=raw.id or "", name=raw.function.name or "", arguments=arguments)


def _pause(error: Any, attempt: int) -> float:
    """Seconds to wait: what the server asks for, else 1, 2, 4 …; at most 30."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        asked = float(headers.get("retry-after", ""))
    except ValueError:
        asked = 2.0**attempt
    return min(_MAX_PAUSE, max(0.0, asked))


def _line(error: BaseException) -> str:
    """The first line of an error, without litellm's prefix."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removeprefix("litellm.")[:300]
