"""The list of fuzz targets: properties that hypothesis and atheris both drive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 100
TARGETS: dict[str, Any] = {}

TEXT = st.text(st.characters(codec=None), max_size=60)
"""Any text, lone surrogates and control characters included."""

LINE = TEXT.map(lambda text: text.replace("\n", " "))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
"""Whatever `json.loads` may return, infinities included."""


def target(
    *, examples: int = EXAMPLES, **strategies: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Any]:
    """Register a property of these inputs under its function's name."""

    def register(check: Callable[..., None]) -> Any:
        bounded = settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        TARGETS[check.__name__] = bounded(given(**strategies)(check))
        return TARGETS[check.__name__]

    return register
