"""What happened, from the event's file. All of it is a stranger's but ids, logins and names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.status import UsageError

MAX_EVENT_BYTES = 8 * 1024 * 1024


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Person(_Part):
    """A user, an app or an organisation."""

    login: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\[bot\])?$", max_length=100)


class Label(_Part):
    """A label, by its name."""

    name: str


class Issue(_Part):
    """An issue as it was when the event was made."""

    number: int = Field(gt=0)
    title: str
    body: str | None = None
    state: str = "open"
    user: Person | None = None
    labels: tuple[Label, ...] = ()
    pull_request: dict[str, Any] | None = None


class Repository(_Part):
    """The repository of an event. `full_name` is OWNER/NAME."""

    full_name: str
    default_branch: str = "main"


class IssueEvent(_Part):
    """Something was done to an issue, by `sender`."""

    action: str
    issue: Issue
    label: Label | None = None
    sender: Person
    repository: Repository


class Head(_Part):
    """The branch that a pull request brings in; it is in `repo` (None: deleted)."""

    ref: str
    repo: Repository | None = None


class PullRequest(_Part):
    """A pull request."""

    number: int = Field(gt=0)
    merged: bool = False
    body: str | None = None
    head: Head
    html_url: str = ""


class PullRequestEvent(_Part):
    """Something was done to a pull request, by `sender`."""

    action: str
    pull_request: PullRequest
    sender: Person
    repository: Repository


AnyEvent = TypeVar("AnyEvent", bound=_Part)


def read_event(path: Path, kind: type[AnyEvent]) -> AnyEvent:
    """Read the event's file as an event of this kind.

    Raises UsageError when it cannot be read, is larger than `MAX_EVENT_BYTES`, or is another.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_EVENT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the event file {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_EVENT_BYTES:
        raise UsageError(f"the event file {path} is larger than {MAX_EVENT_BYTES // 2**20} MiB")
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise UsageError(
            f"the event file {path} holds no {kind.__name__}: {where}: {first['msg']}",
            "Run it on `issues` (labeled, opened) or `pull_request` (closed) events.",
        ) from error
