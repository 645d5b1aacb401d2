"""Local models in torch: the policy that is trained, sampled as llama.cpp samples it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from policies.hub.adapters import WEIGHTS
from policies.hub.files import digest, locked
from policies.paths import data_root
from policies.prompts import Prompts, check_fits
from policies.torch.decode import Draw, Limits, Row, decode
from policies.torch.grammar import Grammars
from policies.torch.load import Base, load_transformers
from policies.torch.lora import active, attach
from policies.torch.text import Text

CONTEXT_TOKENS = 8192
PARALLEL = 8

_CHUNK = 512


class TorchPolicy:
    """A model of transformers that answers with text, on the CPU or on CUDA.

    It keeps the contract of `LlamaCppPolicy`: exact tokens, log-probabilities of the raw
    model (temperature 1, before grammar, top-k and top-p), conversations that go on from the
    very ids of earlier completions, plain text for what looks like a control token, stop
    strings that stay in the text. The completions of one prompt share its prefill.

    Adapters are switched without loading anything again: `load_adapter`, then `use`. A
    trainer's own PeftModel can be sampled while it is trained: `adopt` names its adapter and
    is called again when its weights have changed.

    Seeds: the i-th of n completions uses `seed + i`, from a generator of its own. The same
    calls in the same order give the same completions; arithmetic in bfloat16 depends on the
    batch and on what is cached, so that a call repeated later may turn off where two tokens
    are nearly tied.
    """

    def __init__(
        self,
        base: Base,
        *,
        context_tokens: int = CONTEXT_TOKENS,
        parallel: int = PARALLEL,
        threads: int | None = None,
    ) -> None:
        """Sample `base`, whose model may be a PeftModel already.

        `context_tokens` bounds prompt and completion of one sample; at most `parallel` are
        drawn at a time. `threads` defaults to the physical cores, for all of torch.
        """
        if context_tokens < 1 or parallel < 1:
            raise PolicyError("context_tokens and parallel must be at least 1.")
        load_transformers()
        import torch

        self._model: Any = base.model
        self._identity = base.identity
        self._tokenizer = base.tokenizer
        self._text = Text(base.tokenizer)
        self._prompts = Prompts(self._text)
        self._ends = self._text.ends(base.model)
        self._parallel = parallel
        limit = getattr(base.model.config, "max_position_embeddings", None) or context_tokens
        self._context = min(context_tokens, limit)
        self._adapters: dict[str, str] = {}
        self._adapter: str | None = None
        self._grammars: Grammars | None = None
        self._kept: tuple[str, tuple[int, ...], Any] | None = None
        self._on_cpu = base.model.device.type == "cpu"
        if self._on_cpu:
            torch.set_num_threads(threads or default_threads())

    @property
    def version(self) -> str:
        """`<name>@sha256:<12>`, and `+adapter:<12>` while an adapter is in use."""
        adapter = self._adapter
        return self._identity.version + (
            f"+adapter:{self._adapters[adapter][:12]}" if adapter else ""
        )

    @property
    def context_tokens(self) -> int:
        """Tokens that prompt and completion may take together."""
        return self._context

    @property
    def calls_tools(self) -> bool:
        """False: local models write text, under a grammar."""
        return False

    @property
    def model(self) -> Any:
        """The model; a PeftModel once there are adapters."""
        return self._model

    def load_adapter(self, folder: Path, name: str) -> None:
        """Load an adapter in PEFT's format, frozen, as `name`. It is not in use yet."""
        self._model = attach(self._model, folder, name)
        self.adopt(name, digest(folder / WEIGHTS))

    def adopt(self, name: str, sha256: str) -> None:
        """Know adapter `name`, which is in the model, by the digest of its present weights."""
        self._adapters[name] = sha256
        self._kept = None

    def use(self, name: str | None) -> None:
        """Answer with adapter `name` from now on; None is the bare base."""
        if name is not None and name not in self._adapters:
            known = ", ".join(self._adapters) or "none"
            raise PolicyError(f"no adapter {name!r} is loaded here (loaded: {known}).")
        self._adapter = name

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
        """Draw `n` completions; up to `parallel` are decoded together behind one prefill.

        On the CPU, no other process of this user generates with a local model meanwhile.
        While another one does, `on_progress` is called with no tokens and the seconds waited.
        """
        if n < 1:
            raise PolicyError(f"cannot draw {n} completions: ask for at least one.")
        rendered, ids = self._prompts.build(messages)
        check_fits(len(ids), sampling.max_tokens, self._context)
        seed = secrets.randbelow(2**31) if sampling.seed is None else sampling.seed
        grammar = constraint.grammar if constraint else None
        drawn: list[Completion] = []

        def report(tokens: int, seconds: float) -> None:
            if on_progress is not None:
                on_progress(Progress(completion_tokens=tokens, seconds=seconds))

        with self._alone(lambda seconds: report(0, seconds)), self._sampled():
            begun = time.monotonic()
            while len(drawn) < n:
                written = sum(completion.usage.completion for completion in drawn)
                rows = [
                    Row(seed + place, self._matcher(grammar))
                    for place in range(len(drawn), min(n, len(drawn) + self._parallel))
                ]

                def on_step(rows: list[Row] = rows, written: int = written) -> None:
                    count = written + sum(len(row.ids) for row in rows)
                    report(count, time.monotonic() - begun)

                started = time.monotonic()
                cached = self._draw(tuple(ids), rows, sampling, on_step)
                seconds = time.monotonic() - started
                for place, row in enumerate(rows):
                    shared = cached if place == 0 else len(ids)
                    drawn.append(self._completion(rendered, tuple(ids), row, shared, seconds))
        return drawn

    def close(self) -> None:
        """Release the model. Safe to call twice."""
        self._model = None
        self._kept = None

    def __enter__(self) -> TorchPolicy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _alone(self, on_wait: Callable[[float], None]) -> Iterator[None]:
        """Hold the lock of all who generate on this machine's cores."""
        if not self._on_cpu:
            yield
            return
        with locked(data_root() / "generation.lock", on_wait):
            yield

    @contextmanager
    def _sampled(self) -> Iterator[None]:
        """The model without dropout and gradients, with the adapter that is in use."""
        import torch

        if self._model is None:
            raise PolicyError("this model was closed: open the policy again.")
        training = self._model.training
        self._model.eval()
        try:
            with torch.inference_mode(), active(self._model, self._adapter):
                yield
        except torch.OutOfMemoryError as error:
            raise PolicyError(
                f"the device has no memory left for {self._parallel} samples of up to "
                f"{self._context} tokens: draw fewer at a time, or ask for a smaller context."
            ) from error
        finally:
            self._model.train(training)

    def _matcher(self, grammar: str | None) -> Any:
        if not grammar:
            return None
        if self._grammars is None:
            width = self._model.config.get_text_config().vocab_size
            self._grammars = Grammars(self._tokenizer, width, self._ends)
        return self._grammars.matcher(grammar)

    def _draw(
        self,
        ids: tuple[int, ...],
        rows: list[Row],
        sampling: Sampling,
        on_step: Callable[[], None],
    ) -> int:
        """Finish `rows`; returns how many tokens of the prompt were in the cache."""
        version = self.version
        cache, cached = self._resumed(version, ids)
        logits = self._prefill(cache, ids, cached, on_step)
        draw = Draw(sampling.temperature, sampling.top_p, sampling.top_k, self._mask)

        def stops(written: list[int]) -> bool:
            text = self._text.written(written) if sampling.stop else ""
            return any(stop in text for stop in sampling.stop)

        limits = Limits(sampling.max_tokens, frozenset(self._ends), stops)
        last = decode(self._model, cache, logits, rows, draw, limits, on_step)
        self._kept = (version, ids + tuple(last.ids[:-1]), cache)
        return cached

    def _mask(self, scores: Any, matchers: list[Any]) -> None:
        assert self._grammars is not None
        self._grammars.mask(scores, matchers)

    def _resumed(self, version: str, ids: tuple[int, ...]) -> tuple[Any, int]:
        """The kept cache, cut to what it shares with `ids`, or an empty one."""
        from transformers import DynamicCache

        kept, self._kept = self._kept, None
        if kept is not None and kept[0] == version and _can_be_cut(kept[2]):
            shared = _shared(kept[1], ids)
            if shared:
                kept[2].crop(shared - len(kept[1]))
                return kept[2], shared
        return DynamicCache(config=self._model.config), 0

    def _prefill(
        self, cache: Any, ids: tuple[int, ...], start: int, on_step: Callable[[], None]
    ) -> Any:
        """Put `ids` from `start` on into `cache`; returns the logits (1 × width) of the last."""
        import torch

        logits = None
        for at in range(start, len(ids), _CHUNK):
            fed = torch.tensor([ids[at : at + _CHUNK]], device=self._model.device)
            output = self._model(input_ids=fed, cache=cache, use_cache=True, logits_to_keep=1)
            logits = output.logits[:, -1]
            on_step()
        return logits

    def _completion(
        self, rendered: str, prompt: tuple[int, ...], row: Row, cached: int, seconds: float
    ) -> Completion:
        ids = tuple(row.ids)
        kept = ids[:-1] if row.finished == "end" else ids
        text = self._text.written(list(kept))
        self._prompts.remember(rendered, text, prompt + kept)
        return Completion(
            text=text,
            prompt_ids=prompt,
            completion_ids=ids,
            logprobs=tuple(row.logprobs),
            finish_reason="length" if row.finished == "length" else "stop",
            usage=Usage(prompt=len(prompt), cached=cached, completion=len(ids)),
            seconds=seconds,
            policy_version=self.version,
        )


def _shared(kept: tuple[int, ...], ids: tuple[int, ...]) -> int:
    """How many tokens both begin with; at least one of `ids` is left to compute."""
    count = 0
    for ours, theirs in zip(kept, ids[:-1], strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def _can_be_cut(cache: Any) -> bool:
    """Whether every layer keeps all tokens: sliding windows and states cannot be taken back."""
    return all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers)
