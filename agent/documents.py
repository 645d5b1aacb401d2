"""What commands print with `--json`: every shape is a model with a name and a version.

Within a version fields are only added; a field that goes, or means something else, makes a new
version. Programs check both and leave alone what they do not know.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from agent.status import Status
from policies.experience.events import Feedback
from policies.experience.summary import Summary
from policies.hub.store import Listed


class Part(BaseModel):
    """A part of a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Part):
    """A whole document. Its `name` is shown as `schema`; `version` counts what breaks readers."""

    model_config = ConfigDict(
        serialize_by_alias=True, validate_by_name=True, validate_by_alias=True
    )

    name: str = Field(alias="schema")
    version: int

    def line(self) -> str:
        """The document as JSON in one line of ASCII; odd bytes of file names are escaped."""
        return json.dumps(self.model_dump(mode="json"))


class ErrorReport(Document):
    """Why a command ended before it had a result, and what to do next (`hint`, may be empty)."""

    name: Literal["apprentice.error"] = Field(default="apprentice.error", alias="schema")
    version: Literal[1] = 1
    status: Status
    exit_code: int
    message: str
    hint: str = ""


class Models(Document):
    """`agent models list`."""

    name: Literal["apprentice.models"] = Field(default="apprentice.models", alias="schema")
    version: Literal[1] = 1
    models: tuple[Listed, ...]


class Served(Document):
    """`agent models serve`: where a model answers."""

    name: Literal["apprentice.served"] = Field(default="apprentice.served", alias="schema")
    version: Literal[1] = 1
    url: str
    model: str


class Engine(Part):
    """A model that stays loaded for all programs of the user."""

    model: str
    pid: int
    seconds: float
    in_use: bool
    idle_seconds: float


class Engines(Document):
    """`agent models serve --status` and `--stop`."""

    name: Literal["apprentice.engines"] = Field(default="apprentice.engines", alias="schema")
    version: Literal[1] = 1
    stopped: bool
    engines: tuple[Engine, ...]


class Trajectories(Document):
    """`agent experience list`, newest first."""

    name: Literal["apprentice.trajectories"] = Field(
        default="apprentice.trajectories", alias="schema"
    )
    version: Literal[1] = 1
    trajectories: tuple[Summary, ...]


class Told(Document):
    """`agent experience feedback`: what became of a trajectory's patch."""

    name: Literal["apprentice.feedback"] = Field(default="apprentice.feedback", alias="schema")
    version: Literal[1] = 1
    trajectory: str
    feedback: Feedback


class Imported(Document):
    """`agent experience import`: how many events are new, by trajectory."""

    name: Literal["apprentice.imported"] = Field(default="apprentice.imported", alias="schema")
    version: Literal[1] = 1
    added: dict[str, int]


class TrainedReport(Document):
    """`agent train`: the adapter's folder and its NAME@VERSION ('' where its base has no name),
    what was left out of the data by reason, and the curves' last row (None without a step)."""

    name: Literal["apprentice.trained"] = Field(default="apprentice.trained", alias="schema")
    version: Literal[1] = 1
    trainer: str
    adapter: str
    model: str
    left_out: dict[str, int]
    lineage: dict[str, Any]
    last: dict[str, float] | None


class GithubStep(Document):
    """`agent github gate|solve|propose|feedback`: the step, and what it says of its event."""

    name: Literal["apprentice.github"] = Field(default="apprentice.github", alias="schema")
    version: Literal[1] = 1
    step: str
    told: dict[str, Any]


class _Printed(GenerateJsonSchema):
    """Every field is there in what is printed, those with defaults as well."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return True


def json_schema(shape: type[BaseModel] | TypeAdapter[Any]) -> dict[str, Any]:
    """The JSON Schema of what a model prints. It is open: fields may be added in a version."""
    if isinstance(shape, TypeAdapter):
        made = shape.json_schema(mode="serialization", schema_generator=_Printed)
    else:
        made = shape.model_json_schema(mode="serialization", schema_generator=_Printed)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_opened(made)}


def _opened(value: Any) -> Any:
    if isinstance(value, list):
        return [_opened(item) for item in value]
    if not isinstance(value, dict):
        return value
    closed = value.get("additionalProperties") is False
    return {
        key: _opened(item)
        for key, item in value.items()
        if not (closed and key == "additionalProperties")
    }
