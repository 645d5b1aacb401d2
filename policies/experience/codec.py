"""How an event becomes a row and comes back: JSON, with its big parts moved out to blobs.

Within the JSON of an event, an object whose only key is `$blob` stands for the blob of that
SHA-256, and `$float` for a float that JSON has no word for. Keys of the event's own data that
begin with `$` are written with one `$` more, so nothing a user writes can pass for either.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args

from pydantic import ValidationError

from policies.experience.events import EVENT, SCHEMA_VERSION, Event

EVENT_TYPES: tuple[type, ...] = get_args(get_args(Event)[0])

BLOB_BYTES = 4096
"""A string, array or object whose JSON is longer than this becomes a blob."""

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

UPGRADES: dict[tuple[str, int], Upgrade] = {}
"""From (kind, version) to the function that returns the same event one version later.

A kind that did not change between two versions needs no entry.
"""


class CodecError(Exception):
    """An event cannot be written, or a stored one cannot be read by this version."""


def encode(event: Event) -> tuple[str, dict[str, bytes]]:
    """The row of an event: its JSON, and the uncompressed blobs that the JSON refers to.

    Raises CodecError unless `decode` can read the row again.
    """
    blobs: dict[str, bytes] = {}
    try:
        fields = {key: _encode(value, blobs) for key, value in event.model_dump().items()}
        body = json.dumps(fields, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"the event {event.kind!r} cannot be written as JSON: {error}") from error
    decode(body, blobs.__getitem__)
    return body, blobs


def decode(body: str, blob: Callable[[str], bytes]) -> Event:
    """The event of a row. `blob` returns the uncompressed blob of a SHA-256.

    Raises CodecError, and whatever `blob` raises for a digest that it does not know.
    """
    try:
        data = _decode(json.loads(body), blob)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise CodecError(f"the stored event is damaged: {error}") from error
    if not isinstance(data, dict):
        raise CodecError("the stored event is not a JSON object")
    kind, version = data.get("kind"), data.get("v")
    label = f"the event {kind!r} of schema version {version}"
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise CodecError(
            f"{label} is newer than this apprentice, which reads up to version {SCHEMA_VERSION}: "
            "upgrade apprentice-agent"
        )
    for upgraded, step in sorted(UPGRADES):
        if upgraded == kind and step >= version:
            data = {**UPGRADES[upgraded, step](data), "v": step + 1}
    try:
        return EVENT.validate_python({**data, "v": SCHEMA_VERSION})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CodecError(
            f"{label} cannot be read ({where or 'kind'}: {first['msg']}); this apprentice reads "
            f"version {SCHEMA_VERSION}: upgrade apprentice-agent if a newer one wrote it"
        ) from error


def _encode(value: Any, blobs: dict[str, bytes]) -> Any:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else {"$float": str(value)}
        case datetime():
            return value.isoformat()
        case str():
            short = len(value) * 4 <= BLOB_BYTES
            return value if short else _spill(value, blobs)
        case list() | tuple():
            return _spill([_encode(item, blobs) for item in value], blobs)
        case dict():
            return _spill({_key(k): _encode(v, blobs) for k, v in value.items()}, blobs)
    raise CodecError(f"an event holds a {type(value).__name__}, which JSON cannot carry")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise CodecError(f"an event holds an object with the key {key!r}, which is not a string")
    return f"${key}" if key.startswith("$") else key


def _spill(value: Any, blobs: dict[str, bytes]) -> Any:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= BLOB_BYTES:
        return value
    digest = hashlib.sha256(raw).hexdigest()
    blobs[digest] = raw
    return {"$blob": digest}


def _decode(value: Any, blob: Callable[[str], bytes]) -> Any:
    if isinstance(value, list):
        return [_decode(item, blob) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$blob"}:
        return _decode(json.loads(blob(value["$blob"]).decode("utf-8", "surrogatepass")), blob)
    if value.keys() == {"$float"}:
        return float(value["$float"])
    return {key.removeprefix("$"): _decode(item, blob) for key, item in value.items()}
