"""A random model of two layers with a byte-level tokenizer, as a GGUF that both engines load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from transformers import PreTrainedConfig, Qwen2Config

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("Ġ t", "h e", "i n", "r e", "o n", "e r", "Ġt he", "Ġ a", "d e", "de f", "Ġ Ġ", "r n")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PAD = 64


def vocabulary() -> tuple[list[str], list[int]]:
    """Tokens and their GGUF types: bytes, merges, control tokens, padding."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    extra = [byte for byte in range(256) if byte not in printable]
    shown = {byte: chr(byte) for byte in printable}
    shown |= {byte: chr(256 + place) for place, byte in enumerate(extra)}
    tokens = [shown[byte] for byte in range(256)]
    tokens += [merge.replace(" ", "") for merge in MERGES]
    types = [int(gguf.TokenType.NORMAL)] * len(tokens)
    tokens += CONTROL
    types += [int(gguf.TokenType.CONTROL)] * len(CONTROL)
    padding = -len(tokens) % PAD
    tokens += [f"[PAD{place}]" for place in range(padding)]
    types += [int(gguf.TokenType.UNUSED)] * padding
    return tokens, types


def config(hidden: int = 64, layers: int = 2) -> PreTrainedConfig:
    """The shape of the model."""
    return Qwen2Config(
        vocab_size=len(vocabulary()[0]),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
    )


def write_model(path: Path, seed: int = 0, hidden: int = 64) -> Path:
    """Write a random model of `hidden` width as a GGUF file in float32."""
    shape = config(hidden)
    draw = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("tiny")
    writer.add_context_length(shape.max_position_embeddings)
    writer.add_embedding_length(hidden)
    writer.add_block_count(shape.num_hidden_layers)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.num_attention_heads)
    writer.add_head_count_kv(shape.num_key_value_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    tokens, types = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def matrix(name: str, outputs: int, inputs: int, scale: float, first: Any = None) -> None:
        values = draw.normal(0, scale, (outputs, inputs)).astype(np.float32)
        if first is not None:
            values[:, 0] = first
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            values[0] = 0
        writer.add_tensor(name, values)

    def vector(name: str, size: int, mean: float) -> None:
        writer.add_tensor(name, draw.normal(mean, 0.1, size).astype(np.float32))

    kept = hidden // 2
    # The first dimension, always the same, keeps the model from what is no text.
    matrix("token_embd.weight", len(tokens), hidden, 0.5, 4.0)
    for layer in range(shape.num_hidden_layers):
        block = f"blk.{layer}."
        vector(f"{block}attn_norm.weight", hidden, 1)
        vector(f"{block}ffn_norm.weight", hidden, 1)
        for name, outputs in (("q", hidden), ("k", kept), ("v", kept)):
            matrix(f"{block}attn_{name}.weight", outputs, hidden, 0.2)
            vector(f"{block}attn_{name}.bias", outputs, 0)
        matrix(f"{block}attn_output.weight", hidden, hidden, 0.1)
        matrix(f"{block}ffn_gate.weight", 2 * hidden, hidden, 0.2)
        matrix(f"{block}ffn_up.weight", 2 * hidden, hidden, 0.2)
        matrix(f"{block}ffn_down.weight", hidden, 2 * hidden, 0.1)
    vector("output_norm.weight", hidden, 1)
    text = [len(token) > 1 or " " <= token <= "~" or token in "ĊĠ" for token in tokens]
    first = [0.0 if ok and token[0] != "[" and token not in CONTROL[:2] else -10.0
             for token, ok in zip(tokens, text, strict=True)]  # fmt: skip
    matrix("output.weight", len(tokens), hidden, 0.3, first)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
