"""Whether what was printed is what docs/schemas says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from agent.schemas import DOCUMENTS, name_of

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"
MODELS = {f"apprentice.{name_of(model)}": model for model in DOCUMENTS}


def published(name: str) -> Draft202012Validator:
    """The validator of a published schema."""
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text()))


def conforms(document: dict[str, Any]) -> dict[str, Any]:
    """The document, if it holds all that its schema asks for, and nothing that no model knows."""
    published(document["schema"].removeprefix("apprentice.")).validate(document)
    MODELS[document["schema"]].model_validate_json(json.dumps(document))
    return document
