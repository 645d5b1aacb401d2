"""The vocabulary of tools: what a policy may do to the repository in a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from tools.sandbox.base import Sandbox


class ToolError(Exception):
    """The call cannot be carried out; the message teaches the policy how to mend it."""


class Arguments(BaseModel):
    """Arguments of a tool. A field marked `json_schema_extra={"body": True}` is written as a
    fenced block in the text protocol; all others are single lines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        """Texts can be written to a file and handed to a program."""
        if isinstance(value, str):
            if "\0" in value:
                raise ValueError("holds a NUL character")
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"holds half of a character ({error.reason})") from error
        return value


A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True)
class Observation:
    """What a tool answers. `text` is for the policy; `ok` is False when the call failed."""

    text: str
    ok: bool = True
    cut: int = 0


@dataclass(frozen=True)
class Tool(Generic[A]):
    """A named action with a schema and a handler that sees only the sandbox."""

    name: str
    description: str
    arguments: type[A]
    handler: Callable[[Sandbox, A], Observation]

    def call(self, sandbox: Sandbox, arguments: dict[str, Any]) -> Observation:
        """Validate and run. Mistakes of the policy come back as observations with ok=False."""
        try:
            parsed = self.arguments.model_validate(arguments)
            return self.handler(sandbox, parsed)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()
            )
            return Observation(f"{self.name}: {problems}", ok=False)
        except ToolError as error:
            return Observation(f"{self.name}: {error}", ok=False)

    def schema(self) -> dict[str, Any]:
        """The declaration in the OpenAI function-calling format."""
        parameters = self.arguments.model_json_schema()
        parameters.pop("title", None)
        parameters.pop("description", None)
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": parameters,
            },
        }


def capped(text: str, limit: int) -> tuple[str, int]:
    """The text with its middle cut out above `limit` characters, and how many were cut."""
    if len(text) <= limit:
        return text, 0
    head, tail = limit * 2 // 5, limit - limit * 2 // 5
    cut = len(text) - limit
    return f"{text[:head]}\n[... {cut} characters cut ...]\n{text[-tail:]}", cut
