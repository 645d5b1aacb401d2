"""Local models: llama.cpp, with exact tokens and log-probabilities."""

from __future__ import annotations

import codecs
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from policies.base import (
    Completion,
    Constraint,
    Message,
    OnProgress,
    PolicyError,
    Progress,
    Sampling,
    Usage,
)
from policies.cores import default_threads
from policies.hub.files import digest, locked
from policies.hub.store import ModelFile
from policies.llamaserver import LlamaClient, LlamaServer
from policies.paths import data_root
from policies.prompts import Prompts, check_fits

CONTEXT_TOKENS = 8192
PARALLEL = 4

_SHARE_PER_SAMPLE = 2048
_FORCE = 1000.0
_WIDTHS = (200, 1_000_000)

Start = Callable[[Path, int, int, int, Path | None], LlamaClient]
"""Makes an engine of a model's file, tokens of context, parallel sequences, threads, adapter."""


class LlamaCppPolicy:
    """A GGUF model that answers with text, on this machine.

    Exact tokens: `prompt_ids` is what the engine evaluated, `completion_ids` what it
    sampled. A conversation that continues a completion of this policy starts with precisely
    the ids of that completion (of the latest, where two have the same text); the end of its
    turn is the one that the template writes. Text in a message that looks like a control
    token of the model is tokenised as plain text.

    Log-probabilities are those of the raw model: temperature 1, before top-k, top-p and
    grammar (tests compare them across temperatures and under a grammar). The engine leaves
    them out for the first tokens of a character that spans several; each of these is
    scored by one more forward pass. Quantised arithmetic depends on the batch it happens
    in: a cached prompt can move them by some hundredths.

    Seeds: the i-th of n completions uses `seed + i`. The same calls, made in the same order
    of a policy just opened, give the same completions; a call repeated later finds its
    prompt in the cache, and by the above may turn off where two tokens are nearly tied. A
    `seed` of None draws one.

    Stop strings are part of the text, as they are of the tokens. Prefer a grammar.

    Nothing is drafted from the prompt: a rewrite was written 1.35 times as fast that way,
    but llama.cpp reports no log-probabilities for drafted tokens.
    """

    def __init__(
        self,
        model: ModelFile,
        *,
        context_tokens: int = CONTEXT_TOKENS,
        parallel: int = PARALLEL,
        threads: int | None = None,
        adapter: Path | None = None,
        adapter_sha256: str | None = None,
        start: Start = LlamaServer,
    ) -> None:
        """Load `model`, in a second or two from a warm disk.

        `context_tokens` bounds prompt and completion of one sample; `parallel` samples are
        drawn at a time. `threads` defaults to the physical cores. `adapter` is a LoRA in
        GGUF form; `adapter_scale` (1 on, 0 off) may be changed between calls. `adapter_sha256`
        is its digest in the version, where that is not the file's own (one made from PEFT's).
        `start` gives the engine: by default one of this process.
        """
        if context_tokens < 1 or parallel < 1:
            raise PolicyError("context_tokens and parallel must be at least 1.")
        self.adapter_scale = 1.0
        self._adapter = adapter
        self._parallel = parallel
        self._context = context_tokens
        self._cells = context_tokens + (parallel - 1) * min(_SHARE_PER_SAMPLE, context_tokens)
        self._base_version = f"{model.name}@sha256:{model.sha256[:12]}"
        self._adapter_version = ""
        if adapter is not None:
            if not adapter.is_file():
                raise PolicyError(f"no adapter at {adapter}: check the path.")
            self._adapter_version = f"+adapter:{(adapter_sha256 or digest(adapter))[:12]}"
        self._server = start(
            model.path, self._cells, parallel, threads or default_threads(), adapter
        )
        self._filler = self._server.tokenize("a")[0]
        self._prompts = Prompts(self._server)

    @property
    def version(self) -> str:
        """`<name>@sha256:<12>`, and `+adapter:<12>` while the adapter is on."""
        on = self._adapter_version if self.adapter_scale else ""
        scale = f"*{self.adapter_scale:g}" if on and self.adapter_scale != 1.0 else ""
        return self._base_version + on + scale

    @property
    def context_tokens(self) -> int:
        """Tokens that prompt and completion may take together."""
        return self._context

    @property
    def calls_tools(self) -> bool:
        """False: local models write text, under a grammar."""
        return False

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt that `sample` would evaluate."""
        return len(self._prompts.build(messages)[1])

    def sample(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        constraint: Constraint | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        """Draw `n` completions; those that fit are decoded together and share one prefill.

        While it runs, no other process of this user generates with a local model: two that
        spin on the same cores slow each other down many times over. While another one does,
        `on_progress` is called with no tokens and the seconds waited.
        """
        if n < 1:
            raise PolicyError(f"cannot draw {n} completions: ask for at least one.")
        rendered, ids = self._prompts.build(messages)
        check_fits(len(ids), sampling.max_tokens, self._context)
        room = max(1, (self._cells - len(ids)) // sampling.max_tokens)
        at_once = min(self._parallel, room)
        seed = secrets.randbelow(2**31) if sampling.seed is None else sampling.seed
        drawn: list[Completion] = []

        def wait(seconds: float) -> None:
            if on_progress is not None:
                on_progress(Progress(completion_tokens=0, seconds=seconds))

        with locked(data_root() / "generation.lock", wait):
            begun = time.monotonic()
            while len(drawn) < n:
                written = sum(completion.usage.completion for completion in drawn)

                def poll(count: int, written: int = written) -> None:
                    if on_progress is not None:
                        seconds = time.monotonic() - begun
                        on_progress(Progress(completion_tokens=written + count, seconds=seconds))

                body = self._request(ids, sampling, constraint, seed + len(drawn))
                body["n"] = min(at_once, n - len(drawn))
                drawn += self._draw(body, rendered, tuple(ids), poll)
        return drawn

    def close(self) -> None:
        """Stop the engine. Safe to call twice."""
        self._server.close()

    def __enter__(self) -> LlamaCppPolicy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(
        self, ids: list[int], sampling: Sampling, constraint: Constraint | None, seed: int
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "prompt": ids,
            "n_predict": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": 0.0,
            "repeat_penalty": 1.0,
            "stop": list(sampling.stop),
            "seed": seed % 2**32,
            "n_probs": 1,
            "post_sampling_probs": False,
            "return_tokens": True,
            "cache_prompt": True,
        }
        if constraint is not None and constraint.grammar:
            body["grammar"] = constraint.grammar
        return body | self._lora()

    def _lora(self) -> dict[str, Any]:
        if self._adapter is None:
            return {}
        return {"lora": [{"id": 0, "scale": self.adapter_scale}]}

    def _draw(
        self, body: dict[str, Any], rendered: str, prompt_ids: tuple[int, ...], poll: Any
    ) -> list[Completion]:
        begun = time.monotonic()
        answer = self._server.post("/completion", body, poll)
        seconds = time.monotonic() - begun
        version = self.version
        drawn = []
        choices = answer if isinstance(answer, list) else [answer]
        for number, choice in enumerate(sorted(choices, key=lambda one: int(one["index"]))):
            ids = tuple(int(token) for token in choice["tokens"])
            ended = choice["stop_type"] == "eos"
            text = str(choice["content"])
            if choice["stop_type"] == "word":
                text = self._server.detokenize(list(ids))
            kept = ids[:-1] if ended else ids
            self._prompts.remember(rendered, text, prompt_ids + kept)
            timings = choice["timings"]
            drawn.append(
                Completion(
                    text=text,
                    prompt_ids=prompt_ids,
                    completion_ids=ids,
                    logprobs=self._logprobs(choice, prompt_ids, ids),
                    finish_reason="length" if choice["stop_type"] == "limit" else "stop",
                    usage=Usage(
                        prompt=len(prompt_ids),
                        cached=len(prompt_ids) if number else int(timings["cache_n"]),
                        completion=len(ids),
                    ),
                    seconds=seconds,
                    policy_version=version,
                )
            )
        return drawn

    def _logprobs(
        self, choice: dict[str, Any], prompt_ids: tuple[int, ...], ids: tuple[int, ...]
    ) -> tuple[float, ...]:
        """The log-probability of each of `ids`, scoring those that the engine left out.

        The engine reports a token when the text so far ends with a whole character.
        """
        reported = choice["completion_probabilities"]
        if len(reported) == len(ids):
            return tuple(float(entry["logprob"]) for entry in reported)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        found: list[float] = []
        at = 0
        for index, token in enumerate(ids):
            before = decoder.getstate()
            if at < len(reported) and reported[at]["id"] == token:
                decoder.decode(bytes(reported[at]["bytes"]))
                if not decoder.getstate()[0]:
                    found.append(float(reported[at]["logprob"]))
                    at += 1
                    continue
                decoder.setstate(before)
            entry = self._score([*prompt_ids, *ids[:index]], token)
            decoder.decode(bytes(entry["bytes"]))
            found.append(float(entry["logprob"]))
        return tuple(found)

    def _score(self, prefix: list[int], token: int) -> dict[str, Any]:
        """The engine's entry for `token` after `prefix`, by forcing another token there."""
        for width in _WIDTHS:
            body: dict[str, Any] = {
                "prompt": prefix,
                "n_predict": 1,
                "temperature": 0.0,
                "n_probs": width,
                "logit_bias": [[self._filler, _FORCE]],
                "cache_prompt": True,
            }
            answer = self._server.post("/completion", body | self._lora())
            for entry in answer["completion_probabilities"][0]["top_logprobs"]:
                if entry["id"] == token:
                    return dict(entry)
        raise PolicyError(f"llama.cpp reports no probability of token {token}.")
