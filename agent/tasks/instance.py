"""Task instances: SWE-bench-style JSONL, one task a row, ours and foreign ones alike.

Format: the fields of SWE-bench (Jimenez et al., 2024, arXiv:2310.06770), and a few of our own.
The tree that an agent gets is `repo` at `base_commit` with `setup_patch` applied; `test_patch` adds
the tests that fail, and `patch` is the known fix. `held_out_patch` adds tests for scoring alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agent.status import EnvironmentFailure, UsageError

SplitName = Literal["train", "dev", "heldout"]
Variant = Literal["visible", "issue"]
UNMEASURED = "unmeasured"
DEV_SHARE, HELDOUT_SHARE = 0.2, 0.2


class EnvironmentSetup(BaseModel):
    """What the tests need: a Python minor version, pinned packages, the test command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: str | None = None
    packages: tuple[str, ...] = ()
    test_command: str | None = None


class Instance(BaseModel):
    """One task. Fields of foreign rows that we do not know are left out.

    `repo` is a path, a git URL, `pypi:NAME==VERSION`, or `OWNER/NAME` on GitHub; `base_commit` a
    commit id, or `sha256:…` of a source archive.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    instance_id: str = Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][\w.+-]*$")
    repo: str = Field(min_length=1)
    base_commit: str = Field(min_length=1)
    problem_statement: str = Field(min_length=1)
    patch: str = Field(min_length=1)
    test_patch: str
    fail_to_pass: tuple[str, ...] = Field(alias="FAIL_TO_PASS", min_length=1)
    pass_to_pass: tuple[str, ...] = Field(alias="PASS_TO_PASS")
    setup_patch: str = ""
    environment_setup: EnvironmentSetup | None = None
    difficulty: str = UNMEASURED
    family: str = ""
    licence: str = ""
    held_out_patch: str = ""

    @field_validator("fail_to_pass", "pass_to_pass", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        """SWE-bench stores these lists as JSON text."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"is neither a list nor the JSON text of one ({error})") from error

    @field_validator("environment_setup", mode="before")
    @classmethod
    def _ours(cls, value: Any) -> Any:
        """Foreign rows may hold commands of a shell here: they are not run."""
        if not isinstance(value, dict):
            return value if isinstance(value, EnvironmentSetup) else None
        return {name: value[name] for name in EnvironmentSetup.model_fields if name in value}

    @property
    def split(self) -> SplitName:
        """The split that the repository falls into."""
        return split_of(self.repo)

    @property
    def line(self) -> str:
        """The row of JSON, without the line end: the same bytes for the same instance."""
        data = self.model_dump(mode="json", by_alias=True)
        if not self.held_out_patch:
            del data["held_out_patch"]
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def project_of(repo: str) -> str:
    """The name of a repository, the same for all of its versions and places."""
    name = repo.removeprefix("pypi:").split("==", 1)[0].rstrip("/").removesuffix(".git")
    return re.sub(r"[^a-z0-9]+", "-", re.split("[/:]", name)[-1].lower()).strip("-") or "unnamed"


def split_of(repo: str) -> SplitName:
    """Train, dev or held-out, by a hash of the project's name: never by task, never by version."""
    digest = hashlib.sha256(project_of(repo).encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < HELDOUT_SHARE:
        return "heldout"
    return "dev" if place < HELDOUT_SHARE + DEV_SHARE else "train"


@dataclass(frozen=True)
class BadRow:
    """A row that is no task, and why."""

    line: int
    instance_id: str
    problem: str


def read_instances(path: Path) -> tuple[list[Instance], list[BadRow]]:
    """The tasks of a file, and the rows that are none. Raises UsageError when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "Make tasks with `agent tasks make`."
        raise UsageError(f"{path} cannot be read: {reason}", hint) from error
    good: dict[str, Instance] = {}
    bad: list[BadRow] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = ""
        try:
            row = json.loads(line)
            name = str(row.get("instance_id", "")) if isinstance(row, dict) else ""
            instance = Instance.model_validate(row)
        except ValidationError as error:
            bad.append(BadRow(number, name, "; ".join(_problems(error))))
        except (ValueError, RecursionError) as error:
            bad.append(BadRow(number, name, f"is no JSON: {error}"))
        else:
            if instance.instance_id in good:
                bad.append(BadRow(number, name, "the same instance_id stands in an earlier row"))
            else:
                good[instance.instance_id] = instance
    return list(good.values()), bad


def write_instances(path: Path, instances: Iterable[Instance]) -> None:
    """Write a file of tasks, wholly or not at all. Raises EnvironmentFailure."""
    write_text(path, "".join(f"{instance.line}\n" for instance in instances))


def digest_of(instances: Iterable[Instance]) -> str:
    """SHA-256 of the file that `write_instances` makes of them."""
    text = "".join(f"{instance.line}\n" for instance in instances)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file atomically. Raises EnvironmentFailure."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False)[:3]:
        where = ".".join(map(str, problem["loc"]))
        yield f"{where}: {problem['msg'].removeprefix('Value error, ')}"
