"""What the solving job leaves for the proposing one: a folder of three files.

The reader trusts none of it: sizes are capped before anything is read, links are not followed, and
every field has a form.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from agent.status import AgentError, Status
from policies.base import Frozen

RESULT = "result.json"
PATCH = "fix.patch"
EXPERIENCE = "experience.db"
MAX_RESULT_BYTES = 1024 * 1024
MAX_PATCH_FILE_BYTES = 1024 * 1024
MAX_NAMES = 200

Line = Annotated[str, Field(max_length=1000)]
Names = Annotated[tuple[Line, ...], Field(max_length=MAX_NAMES)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Seconds = Annotated[float, Field(ge=0, le=10**7, allow_inf_nan=False)]
Tally = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z]{1,20}$")], Count], Field(max_length=20)
]


class ArtifactError(AgentError):
    """The artifact is not what the solving job writes."""


class NewTest(Frozen):
    """A test that the policy has written from the issue."""

    path: str = Field(max_length=300)
    text: str = Field(max_length=20_000)


class Solved(Frozen):
    """How a run ended, as the solving job tells it. Tests are counted by outcome.

    `targets`, `fixed` and `broken` hold at most `MAX_NAMES` test ids; `test_files` the files that
    hold tests; `rejected` the findings in patches that were not taken. `patch_sha256` is the digest
    of the patch's file, empty without one.
    """

    version: Literal[1] = 1
    status: Status
    message: str = Field("", max_length=4000)
    hint: str = Field("", max_length=4000)
    issue: int = Field(gt=0)
    base_commit: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    trajectory: str = Field(pattern=r"^[0-9a-z]{26}$")
    model: Line = ""
    plan: str = Field("", max_length=4000)
    targets: Names = ()
    before: Tally = Field(default_factory=dict)
    after: Tally = Field(default_factory=dict)
    fixed: Names = ()
    broken: Names = ()
    test_files: Annotated[tuple[Line, ...], Field(max_length=5000)] = ()
    findings: Names = ()
    suspicions: Names = ()
    rejected: Names = ()
    new_test: NewTest | None = None
    attempts: Count = 0
    seconds: Seconds = 0.0
    model_seconds: Seconds = 0.0
    test_seconds: Seconds = 0.0
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    completion_tokens: Count = 0
    patch_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")


def tally(outcomes: Mapping[str, str]) -> dict[str, int]:
    """Outcomes by test id, counted by outcome."""
    return dict(sorted(Counter(outcomes.values()).items()))


def write(folder: Path, solved: Solved, patch: str) -> Solved:
    """Write result and patch into a folder; returns the result with the patch's digest."""
    data = patch.encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(data).hexdigest() if data else ""
    solved = solved.model_copy(update={"patch_sha256": digest})
    folder.mkdir(parents=True, exist_ok=True)
    if data:
        (folder / PATCH).write_bytes(data)
    (folder / RESULT).write_text(solved.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return solved


def read(folder: Path) -> tuple[Solved, str]:
    """The result and the patch ('' for none) of a folder that anybody may have written.

    Raises ArtifactError when a file is missing, too large, no plain file, not of this form, or
    when the patch is not the one of the result.
    """
    data = _bytes(folder / RESULT, MAX_RESULT_BYTES)
    if data is None:
        raise ArtifactError("the job that solves ended without a result: its log says why")
    try:
        solved = Solved.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise ArtifactError(f"{RESULT} is not of this form: {where}: {first['msg']}") from error
    patch = _bytes(folder / PATCH, MAX_PATCH_FILE_BYTES) or b""
    digest = hashlib.sha256(patch).hexdigest() if patch else ""
    if digest != solved.patch_sha256:
        raise ArtifactError(f"{PATCH} is not the patch that {RESULT} tells of")
    return solved, patch.decode("utf-8", "surrogateescape")


def _bytes(path: Path, most: int) -> bytes | None:
    """The bytes of a plain file; None when there is none."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactError(f"{path.name} cannot be read: {error.strerror}") from error
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise ArtifactError(f"{path.name} is no plain file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ArtifactError(f"{path.name} is larger than {most // 1024} KiB")
    return data
