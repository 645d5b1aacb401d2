"""Writes the small LoRA adapters that tests load into llama.cpp (GGUF version 3)."""

from __future__ import annotations

import random
import struct
from pathlib import Path

ALIGNMENT = 32
UINT32, FLOAT32, STRING = 4, 6, 8


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _entry(key: str, kind: int, value: str | float) -> bytes:
    if kind == STRING:
        body = _text(str(value))
    else:
        body = struct.pack("<f" if kind == FLOAT32 else "<I", value)
    return _text(key) + struct.pack("<I", kind) + body


def write_adapter(path: Path, width: int, rank: int = 4, scale: float = 0.5, seed: int = 0) -> Path:
    """A random adapter of `blk.0.attn_q` for a qwen2 model of `width` (its hidden size)."""
    draw = random.Random(seed)
    shapes = {
        "blk.0.attn_q.weight.lora_a": (width, rank),
        "blk.0.attn_q.weight.lora_b": (rank, width),
    }
    entries = [
        _entry("general.type", STRING, "adapter"),
        _entry("general.architecture", STRING, "qwen2"),
        _entry("adapter.type", STRING, "lora"),
        _entry("adapter.lora.alpha", FLOAT32, float(rank)),
    ]
    header = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(entries)) + b"".join(entries)
    data = b""
    for name, (inner, outer) in shapes.items():
        header += _text(name) + struct.pack("<IQQIQ", 2, inner, outer, 0, len(data))
        values = [draw.uniform(-scale, scale) for _ in range(inner * outer)]
        data += struct.pack(f"<{len(values)}f", *values)
        data += b"\0" * (-len(data) % ALIGNMENT)
    path.write_bytes(header + b"\0" * (-len(header) % ALIGNMENT) + data)
    return path
