"""What bugs are to be made in: a recipe for each repository, and manifests that hold many."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.status import UsageError
from agent.tasks.instance import EnvironmentSetup


class Recipe(BaseModel):
    """How tasks are made of a repository. The same recipe makes the same tasks.

    `commit` is None for the newest. `packages` of None are those that the repository declares.
    `limit` is how many bugs are wanted, `candidates` how many are tried for them at most. No bug
    is made in a file that matches a pattern of `exclude`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: str
    commit: str | None = None
    python: str | None = None
    packages: tuple[str, ...] | None = None
    test_command: str | None = None
    licence: str = ""
    seed: int = 0
    limit: int = Field(50, ge=1)
    candidates: int = Field(2000, ge=1)
    families: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def setup(self, packages: tuple[str, ...]) -> EnvironmentSetup:
        """The environment with these packages where the recipe names none."""
        return EnvironmentSetup(
            python=self.python,
            packages=self.packages if self.packages is not None else packages,
            test_command=self.test_command,
        )


class Manifest(BaseModel):
    """Recipes, and the SHA-256 of the file of tasks that they make."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str | None = None
    repository: tuple[Recipe, ...] = Field(min_length=1)


def read_manifest(path: Path) -> Manifest:
    """The recipes of a TOML file. Raises UsageError that names the field."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Manifest.model_validate(data)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path}: {where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
