"""Prompt templates. An unknown or missing variable is an error, never an empty string."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@lru_cache(maxsize=1)
def _environment() -> Environment:
    import jinja2

    def load(name: str) -> str:
        return (files("agent.context") / "templates" / name).read_text(encoding="utf-8")

    return jinja2.Environment(  # noqa: S701 - prompts are plain text
        loader=jinja2.FunctionLoader(load),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )


def render(template: str, **values: Any) -> str:
    """Render `templates/<template>.txt`. Raises jinja2.UndefinedError on an unknown variable."""
    return _environment().get_template(f"{template}.txt").render(values).strip()
